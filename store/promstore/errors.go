package promstore

import (
	"errors"

	"github.com/thanoskit/thanoskit/internal/promapi"
)

var (
	// ErrNoExternalLabels says that Prometheus has no external labels, so that
	// its series could not be told from those of another.
	ErrNoExternalLabels = errors.New("no external labels configured in Prometheus")
	// ErrNotSynced says that no Sync has succeeded yet. It comes together with
	// store.ErrUnavailable.
	ErrNotSynced = errors.New("external labels of Prometheus not read yet")
	// ErrBucketBounds says that a native histogram with custom buckets came
	// without their bounds. Sampled remote read of Prometheus loses them;
	// streamed remote read does not.
	ErrBucketBounds = errors.New("native histogram with custom buckets came without their bounds")
)

// StatusError is an HTTP answer that is not a success. It is a
// store.ErrUnavailable if its Code says that asking again may help: 429, 502,
// 503 (as while Prometheus starts) and 504.
//
// Its fields are the Endpoint asked for, a path without the prefix of the URL; the
// status Code; the Type, Prometheus' own name for the error such as "bad_data", empty
// if there is none; and the Message, Prometheus' own or the beginning of the body.
type StatusError = promapi.StatusError

// ContentTypeError is an answer of another kind than was asked for, such as the
// HTML page of something that is not Prometheus. It is a store.ErrMalformed.
//
// Its fields are the Endpoint asked for, a path without the prefix of the URL, the
// ContentType of the answer, and the beginning of its Body.
type ContentTypeError = promapi.ContentTypeError

// Warning is a warning that Prometheus gave with an answer.
type Warning struct {
	// Message is what Prometheus said.
	Message string
}

// Error returns the message, with its origin.
func (w *Warning) Error() string { return "prometheus: " + w.Message }
