package syserr

import (
	"errors"
	"fmt"

	"golang.org/x/sys/windows"
)

// Space makes the errors of a full or limited place match ErrNoSpace.
func Space(err error) error {
	var number windows.Errno
	if errors.Is(err, ErrNoSpace) || errors.Is(err, ErrTooLarge) || !errors.As(err, &number) {
		return err
	}
	switch number {
	case windows.ERROR_COMMITMENT_LIMIT, windows.ERROR_NO_SYSTEM_RESOURCES, windows.ERROR_NOT_ENOUGH_MEMORY,
		windows.ERROR_NOT_ENOUGH_QUOTA, windows.ERROR_PAGEFILE_QUOTA, windows.ERROR_DISK_FULL, windows.ERROR_HANDLE_DISK_FULL,
		windows.ERROR_DISK_QUOTA_EXCEEDED:
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case windows.ERROR_FILE_TOO_LARGE:
		return fmt.Errorf("%w: %w", ErrTooLarge, err)
	}
	return err
}
