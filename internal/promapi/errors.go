package promapi

import (
	"fmt"
	"net/http"

	"github.com/thanoskit/thanoskit/store"
)

// StatusError is an HTTP answer that is not a success. It is a
// store.ErrUnavailable if its Code says that asking again may help: 429, 502,
// 503 (as while Prometheus starts) and 504.
type StatusError struct {
	// Endpoint is the path asked for, without the prefix of the URL.
	Endpoint string
	// Code is the HTTP status code.
	Code int
	// Type is Prometheus' own name for the error, such as "bad_data" or
	// "timeout"; empty if Prometheus gave none.
	Type string
	// Message is Prometheus' own message, or the beginning of the body.
	Message string
}

// Error names the endpoint, the code and the message.
func (e *StatusError) Error() string {
	msg := fmt.Sprintf("%s answered %d %s", e.Endpoint, e.Code, http.StatusText(e.Code))
	if e.Type != "" {
		msg += ": " + e.Type
	}
	if e.Message != "" {
		msg += ": " + e.Message
	}
	return msg
}

// Is reports whether target is store.ErrUnavailable and the Code says so.
func (e *StatusError) Is(target error) bool {
	if target != store.ErrUnavailable {
		return false
	}
	switch e.Code {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// ContentTypeError is an answer of another kind than was asked for, such as the
// HTML page of something that is not Prometheus. It is a store.ErrMalformed.
type ContentTypeError struct {
	// Endpoint is the path asked for, without the prefix of the URL.
	Endpoint string
	// ContentType is what the answer says of itself.
	ContentType string
	// Body is the beginning of the answer.
	Body string
}

// Error names the endpoint, the type, and how the answer begins.
func (e *ContentTypeError) Error() string {
	return fmt.Sprintf("%s answered with content type %q: %s", e.Endpoint, e.ContentType, e.Body)
}

// Is reports whether target is store.ErrMalformed.
func (e *ContentTypeError) Is(target error) bool { return target == store.ErrMalformed }
