package compact

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// Conditions that keep a job, or a run, from its end; compare with errors.Is. None
// of them waits for a person: the next run tries again.
var (
	// ErrBucket says that the bucket did not do what was asked of it: an outage, a
	// limit, no access.
	ErrBucket = errors.New("bucket fails")
	// ErrDisk says that the directory did not do what was asked of it, and
	// ErrDiskFull, which is an ErrDisk, that there is no room left.
	ErrDisk     = errors.New("disk fails")
	ErrDiskFull = fmt.Errorf("%w: no space left", ErrDisk)
	// ErrStale says that the blocks in the bucket are not those of the plan any more,
	// or not yet: somebody else was faster, or a listing lags behind.
	ErrStale = errors.New("plan is out of date")
	// ErrQuarantined says that a block was marked because something is wrong with it.
	ErrQuarantined = errors.New("block is quarantined")
	// ErrOutput says that what was made is not a good block. It is not uploaded.
	ErrOutput = errors.New("output is not a good block")
	// ErrBusy says that another Compactor works in the directory.
	ErrBusy = errors.New("another compactor works in this directory")
	// ErrClosed says that the Compactor has been closed. It is a context.Canceled.
	ErrClosed = fmt.Errorf("compactor is closed: %w", context.Canceled)
)

// Class says what kept a job or a run from its end, as a label of metrics and for
// those who decide what to do about it.
type Class string

// The classes of errors.
const (
	// ClassNone is that of no error.
	ClassNone Class = ""
	// ClassCanceled is that the context has ended.
	ClassCanceled Class = "canceled"
	// ClassQuarantine is that blocks are bad, and have been marked.
	ClassQuarantine Class = "quarantine"
	// ClassStale is that somebody else was faster.
	ClassStale Class = "stale"
	// ClassDisk is that the disk is full, or fails.
	ClassDisk Class = "disk"
	// ClassBusy is that another Compactor works in the directory.
	ClassBusy Class = "busy"
	// ClassOutput is a defect of the compactor itself.
	ClassOutput Class = "output"
	// ClassBucket is that the bucket does not answer as it should.
	ClassBucket Class = "bucket"
)

// ClassOf returns the class of an error that a Compactor returned. Where several
// errors are joined it is the first of the classes, in the order above but that of
// canceled contexts last, that one of them is of. An error of no class counts as the
// bucket's.
func ClassOf(err error) Class {
	switch {
	case err == nil:
		return ClassNone
	case errors.Is(err, ErrQuarantined):
		return ClassQuarantine
	case errors.Is(err, ErrStale):
		return ClassStale
	case errors.Is(err, ErrDisk):
		return ClassDisk
	case errors.Is(err, ErrBusy):
		return ClassBusy
	case errors.Is(err, ErrOutput):
		return ClassOutput
	case errors.Is(err, ErrBucket):
		return ClassBucket
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return ClassCanceled
	}
	return ClassBucket
}

// JobError is a job that did not come to its end.
type JobError struct {
	Job *Job
	Err error
}

// Error returns "KIND N blocks of group GROUP, ULID of the first: cause".
func (e *JobError) Error() string {
	return fmt.Sprintf("%s: %v", describe(e.Job), e.Err)
}

// Unwrap returns the cause.
func (e *JobError) Unwrap() error { return e.Err }

// describe names a job in a log line or an error.
func describe(job *Job) string {
	return fmt.Sprintf("%s %d blocks of group %s, %s", strings.ToLower(job.Kind.String()), len(job.Sources), job.Group, sourceIDs(job)[0])
}

// sourceIDs returns the blocks that a job reads.
func sourceIDs(job *Job) []ulid.ULID {
	ids := make([]ulid.ULID, len(job.Sources))
	for i, m := range job.Sources {
		ids[i] = m.ULID
	}
	return ids
}

// localError classes an error of the directory, unless it has a class.
func localError(err error) error {
	if err == nil || isClassed(err) {
		return err
	}
	if diskFull(err) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return fmt.Errorf("%w: %w", ErrDisk, err)
}

// mixedError classes an error of something that works on bucket and directory,
// unless it has a class: one of the directory says so by its type. That a context
// has ended is the bucket's doing if it is not ctx: its client gave up.
func mixedError(ctx context.Context, err error) error {
	switch {
	case err == nil || isClassed(err):
		return err
	case ctx.Err() != nil:
		return errors.Join(context.Cause(ctx), err)
	case isLocal(err):
		return localError(err)
	}
	return fmt.Errorf("%w: %w", ErrBucket, err)
}

// isClassed reports whether an error has its class already.
func isClassed(err error) bool {
	classes := []error{ErrBucket, ErrDisk, ErrStale, ErrQuarantined, ErrOutput, ErrBusy}
	return slices.ContainsFunc(classes, func(class error) bool { return errors.Is(err, class) })
}

// diskFull reports whether an error says that there is no room on the disk.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// isLocal reports whether an error is one of the directory. What a bucket in a
// filesystem returns is not, as far as can be told: it is wrapped by package block
// all the same, and is tried again either way.
func isLocal(err error) bool {
	if diskFull(err) {
		return true
	}
	_, path := errors.AsType[*fs.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	return path || link
}

// isBad reports whether an error says of a block that it is bad, whatever bucket and
// directory do.
func isBad(err error) bool {
	return errors.Is(err, block.ErrCorrupt) || errors.Is(err, block.ErrUnsupported) || errors.Is(err, block.ErrNotFound)
}
