//go:build !linux

package atomicfile

import "errors"

// exchange is not known of this system.
func exchange(_, _ string) error { return errors.ErrUnsupported }

func sameAccess(_, _ string) bool { return false }
