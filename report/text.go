package report

import (
	"encoding/json"

	"narrow/diag"
	"narrow/internal/messages"
)

// Text is a message in the languages of the page. JSON has the string, where
// both are the same, or a list of the English and the Chinese one.
type Text struct{ diag.Text }

// MarshalJSON writes the message.
func (t Text) MarshalJSON() ([]byte, error) {
	en, zh := messages.English.Sprint(t.Text), messages.Chinese.Sprint(t.Text)
	if en == zh {
		return json.Marshal(en)
	}
	return json.Marshal([]string{en, zh})
}
