package promqlstore

import (
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/promapi"
)

// ErrHistograms says that native histograms are missing from an answer, because
// the API does not give enough of them.
var ErrHistograms = errors.New("native histograms cannot be read through PromQL over HTTP")

// HistogramError is an ErrHistograms that says where they are missing.
type HistogramError struct {
	// Series is the first series that has some, by its labels.
	Series labels.Labels
	// Others is the number of further series that have some.
	Others int
	// Samples is the number of native histograms that are missing in all.
	Samples int64
}

// Error names the series and the numbers.
func (e *HistogramError) Error() string {
	return fmt.Sprintf("%v: %d left out of %s and %d other series", ErrHistograms, e.Samples, e.Series, e.Others)
}

// Is reports whether target is ErrHistograms.
func (e *HistogramError) Is(target error) bool { return target == ErrHistograms }

// StatusError is an HTTP answer that is not a success. It is a
// store.ErrUnavailable if its Code says that asking again may help: 429, 502,
// 503 and 504.
//
// Its fields are the Endpoint asked for, a path without the prefix of the URL; the
// status Code; the Type, Prometheus' own name for the error such as "bad_data", empty
// if there is none; and the Message, Prometheus' own or the beginning of the body.
type StatusError = promapi.StatusError

// ContentTypeError is an answer of another kind than was asked for, such as the
// HTML page of a login. It is a store.ErrMalformed.
//
// Its fields are the Endpoint asked for, a path without the prefix of the URL, the
// ContentType of the answer, and the beginning of its Body.
type ContentTypeError = promapi.ContentTypeError

// Warning is a warning that the server gave with an answer, such as Thanos' of
// partial answers.
type Warning struct {
	// Message is what the server said.
	Message string
}

// Error returns the message, with its origin.
func (w *Warning) Error() string { return "peer: " + w.Message }
