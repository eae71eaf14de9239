package promapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/thanoskit/thanoskit/store"
)

// truncated is the warning with which Prometheus obeys a limit. Who set the
// limit knows, and under Abort a warning costs the whole answer.
//
// Source: series and label APIs in Prometheus' web/api/v1/api.go.
const truncated = "results truncated due to limit"

// Decode reads an answer in the envelope of Prometheus' API, calling data
// where its data begins. It returns the warnings in it.
//
// Errors: a *ContentTypeError, a *StatusError for an answer that says that it is
// an error, a store.ErrMalformed, or what ended the transport.
func Decode(resp *Response, data func(*json.Decoder) error) (warnings []string, err error) {
	if t, _ := resp.ContentType(); t != "application/json" {
		return nil, resp.WrongType()
	}
	e := envelope{endpoint: resp.Endpoint, data: data}
	if err := e.decode(json.NewDecoder(resp)); err != nil {
		if resp.err != nil { // the answer did not arrive, so that it does not parse
			return nil, resp.err
		}
		if _, ok := errors.AsType[*StatusError](err); ok || errors.Is(err, store.ErrMalformed) || errors.Is(err, store.ErrLimit) {
			return nil, err
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%w: answer of %s: %w", store.ErrMalformed, resp.Endpoint, err)
	}
	for _, w := range e.warnings {
		if w != truncated {
			warnings = append(warnings, w)
		}
	}
	return warnings, nil
}

type envelope struct {
	endpoint string
	data     func(*json.Decoder) error

	status, errorType, message string
	warnings                   []string
	hasData                    bool
}

func (e *envelope) decode(dec *json.Decoder) error {
	if err := Expect(dec, '{'); err != nil {
		return err
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return err
		}
		if err := e.field(dec, key); err != nil {
			return err
		}
	}
	if err := Expect(dec, '}'); err != nil {
		return err
	}
	switch {
	case e.status == "error":
		return &StatusError{Endpoint: e.endpoint, Code: http.StatusOK, Type: e.errorType, Message: shorten(e.message, 4*maxExcerpt)}
	case e.status != "success":
		return fmt.Errorf("status %q", e.status)
	case !e.hasData:
		return errors.New("no data")
	}
	return nil
}

func (e *envelope) field(dec *json.Decoder, key json.Token) error {
	switch key {
	case "status":
		return dec.Decode(&e.status)
	case "data":
		e.hasData = true
		return e.data(dec)
	case "errorType":
		return dec.Decode(&e.errorType)
	case "error":
		return dec.Decode(&e.message)
	case "warnings":
		return dec.Decode(&e.warnings)
	default: // "infos" and what may come
		var skipped json.RawMessage
		return dec.Decode(&skipped)
	}
}

// Expect reads the next token, which must be want.
func Expect(dec *json.Decoder, want json.Delim) error {
	tok, err := dec.Token()
	if err != nil {
		return err
	}
	if tok != want {
		return fmt.Errorf("%v instead of %v", tok, want)
	}
	return nil
}
