package kernel

import (
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/sys/windows"
)

// User is the user of this process.
var User = sync.OnceValues(func() (*windows.SID, error) {
	u, err := windows.GetCurrentProcessToken().GetTokenUser()
	if err != nil {
		return nil, fmt.Errorf("user of this process: %w", err)
	}
	return u.User.Sid, nil
})

// Trusted says whether an owner is this user, the system or the administrators.
func Trusted(sid *windows.SID) bool {
	me, err := User()
	return err == nil && sid.Equals(me) ||
		sid.IsWellKnown(windows.WinLocalSystemSid) || sid.IsWellKnown(windows.WinBuiltinAdministratorsSid)
}

// OwnerOf returns the owner of an object of the kernel.
func OwnerOf(h windows.Handle, t windows.SE_OBJECT_TYPE) (*windows.SID, error) {
	sd, err := windows.GetSecurityInfo(h, t, windows.OWNER_SECURITY_INFORMATION)
	if err != nil {
		return nil, err
	}
	sid, _, err := sd.Owner()
	if err == nil && sid == nil {
		err = fmt.Errorf("it has no owner: %w", fs.ErrPermission)
	}
	return sid, err
}

// AccountName returns the name of an account, for messages.
func AccountName(sid *windows.SID) string {
	name, domain, _, err := sid.LookupAccount("")
	if err != nil {
		return sid.String()
	}
	return domain + `\` + name + " (" + sid.String() + ")"
}

// SecurityOf returns the owner and the rights of an object of the kernel.
func SecurityOf(h windows.Handle, t windows.SE_OBJECT_TYPE) (*windows.SECURITY_DESCRIPTOR, error) {
	return windows.GetSecurityInfo(h, t, windows.OWNER_SECURITY_INFORMATION|windows.DACL_SECURITY_INFORMATION)
}

// Attributes returns attributes with the security descriptor of sddl. Errors: fs.ErrInvalid.
func Attributes(sddl string) (*windows.SecurityAttributes, error) {
	sd, err := windows.SecurityDescriptorFromString(sddl)
	if err != nil {
		return nil, fmt.Errorf("security descriptor %q: %w: %w", sddl, err, fs.ErrInvalid)
	}
	return AttributesOf(sd), nil
}

// Descriptor returns the security descriptor of a new object. If sddl is empty, it is for this user
// and the system. Errors: fs.ErrInvalid.
func Descriptor(sddl string) (*windows.SecurityAttributes, error) {
	if sddl == "" {
		me, err := User()
		if err != nil {
			return nil, err
		}
		sddl = "D:P(A;;GA;;;" + me.String() + ")(A;;GA;;;SY)"
	}
	return Attributes(sddl)
}
