package remoteread

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/snappy"

	"github.com/thanoskit/thanoskit/internal/remoteproto"
	"github.com/thanoskit/thanoskit/store"
)

// readRequest reads, decompresses and parses a request.
func readRequest(w http.ResponseWriter, r *http.Request, maxBytes int64) (*remoteproto.Request, error) {
	tooLarge := &requestError{http.StatusRequestEntityTooLarge, fmt.Errorf("read request: %w", &store.LimitError{Limit: "bytes", Max: maxBytes})}
	if enc := r.Header.Get("Content-Encoding"); enc != "" && enc != "snappy" {
		return nil, &requestError{http.StatusUnsupportedMediaType, fmt.Errorf("content encoding %q is not snappy", enc)}
	}
	compressed, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBytes))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, tooLarge
	} else if err != nil {
		return nil, invalid(err)
	}
	n, err := snappy.DecodedLen(compressed)
	switch {
	case err != nil:
		return nil, invalid(err)
	case int64(n) > maxBytes:
		return nil, tooLarge
	}
	body, err := snappy.Decode(nil, compressed)
	if err != nil {
		return nil, invalid(err)
	}
	req, err := remoteproto.ParseRequest(body)
	if err != nil {
		return nil, invalid(err)
	}
	return req, nil
}

func invalid(err error) error {
	return &requestError{http.StatusBadRequest, fmt.Errorf("read request: %w", err)}
}

// negotiate returns the first form that we know of those that are accepted.
//
// Source: NegotiateResponseType in Prometheus' storage/remote/codec.go.
func negotiate(accept []remoteproto.ResponseType) (remoteproto.ResponseType, error) {
	if len(accept) == 0 {
		return remoteproto.Samples, nil
	}
	for _, t := range accept {
		if t == remoteproto.Samples || t == remoteproto.Streamed {
			return t, nil
		}
	}
	return 0, &requestError{http.StatusBadRequest, fmt.Errorf("none of the response types %v is known", accept)}
}
