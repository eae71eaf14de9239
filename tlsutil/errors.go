package tlsutil

import (
	"errors"
	"fmt"
	"time"
)

// What can be wrong with a file. A *FileError says with which.
var (
	// ErrNoCertificate: there is no PEM block of a certificate in the file.
	ErrNoCertificate = errors.New("no certificate in PEM form")
	// ErrNoKey: there is no PEM block of a private key in the file.
	ErrNoKey = errors.New("no private key in PEM form")
	// ErrMalformed: a PEM block, or what is between blocks, cannot be read.
	ErrMalformed = errors.New("malformed")
	// ErrKeyMismatch: the private key is that of another certificate.
	ErrKeyMismatch = errors.New("key does not match certificate")
	// ErrExpired and ErrNotYetValid: a *ValidityError says since or until when.
	ErrExpired     = errors.New("certificate has expired")
	ErrNotYetValid = errors.New("certificate is not yet valid")
	// ErrNotCA: a bundle of CAs has a certificate that cannot sign others.
	ErrNotCA = errors.New("certificate is not that of a CA")
)

// FileError is what is wrong with a file.
type FileError struct {
	File string
	Err  error
}

// Error names the file, and then what is wrong.
func (e *FileError) Error() string { return fmt.Sprintf("load %s: %v", e.File, e.Err) }

// Unwrap returns what is wrong.
func (e *FileError) Unwrap() error { return e.Err }

// ValidityError says that a certificate is not valid now. It is ErrExpired or
// ErrNotYetValid.
type ValidityError struct {
	Subject             string
	NotBefore, NotAfter time.Time // both inclusive
	Now                 time.Time // when it was looked at
}

// Error says whose certificate it is, and since or until when.
func (e *ValidityError) Error() string {
	if e.Is(ErrExpired) {
		return fmt.Sprintf("certificate of %q expired on %s", e.Subject, e.NotAfter.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("certificate of %q is not valid before %s", e.Subject, e.NotBefore.UTC().Format(time.RFC3339))
}

// Is makes errors.Is know ErrExpired and ErrNotYetValid.
func (e *ValidityError) Is(target error) bool {
	if e.Now.After(e.NotAfter) {
		return target == ErrExpired
	}
	return target == ErrNotYetValid
}
