package narrow

import "runtime/debug"

// Version returns the version of narrow that is running, "devel" where it was
// built from a working tree.
func Version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		mods := append([]*debug.Module{&info.Main}, info.Deps...)
		for _, m := range mods {
			if m.Path == "narrow" && m.Version != "" && m.Version != "(devel)" {
				return m.Version
			}
		}
	}
	return "devel"
}
