package messages

// zh holds the Chinese messages by their English formats.
var zh = map[string]string{}
