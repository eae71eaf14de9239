package promapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/thanoskit/thanoskit/store"
)

const (
	// maxExcerpt is the number of bytes of a foreign body that an error shows.
	maxExcerpt = 256
	// maxDrain is the number of bytes read to make a connection reusable.
	maxDrain = 64 << 10
)

// Client asks one server. It is safe for concurrent use.
type Client struct {
	// Base is the URL that endpoints are below of. Its parameters go with every
	// request.
	Base *url.URL
	HTTP *http.Client
}

// Call is one request.
type Call struct {
	Method string
	// Endpoint is a path below the base; empty is the base itself.
	Endpoint string
	// Form is sent as the query of a GET and as the body of a POST.
	Form url.Values
	// Body overrides Form.
	Body   []byte
	Header http.Header
	// MaxBytes bounds the answer; 0 is unlimited.
	MaxBytes int64
	// Received counts the bytes of the answer; nil counts none.
	Received prometheus.Counter
}

// Do sends the request and returns the answer if its status is a success. The
// caller finishes or abandons it.
//
// Errors: a *StatusError, a store.ErrUnavailable, or the context's.
func (c *Client) Do(ctx context.Context, r *Call) (*Response, error) {
	u := *c.Base
	if r.Endpoint != "" {
		u = *c.Base.JoinPath(r.Endpoint)
	}
	var body io.Reader
	switch {
	case r.Body != nil:
		body = bytes.NewReader(r.Body)
	case r.Method == http.MethodPost:
		body = strings.NewReader(r.Form.Encode())
	case len(r.Form) > 0:
		q := r.Form.Encode()
		if u.RawQuery != "" {
			q = u.RawQuery + "&" + q
		}
		u.RawQuery = q
	}
	req, err := http.NewRequestWithContext(ctx, r.Method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	maps.Copy(req.Header, r.Header)
	if r.Body == nil && r.Method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("User-Agent", "thanoskit")
	name := r.Endpoint
	if name == "" {
		name = strings.TrimPrefix(u.Path, "/")
	}
	resp, err := c.HTTP.Do(req) //nolint:bodyclose // Finish and Abandon close it
	if err != nil {
		return nil, transportError(ctx, err)
	}
	out := &Response{
		boundedReader: boundedReader{ctx: ctx, r: resp.Body, max: r.MaxBytes, received: r.Received},
		Endpoint:      name, header: resp.Header, body: resp.Body,
	}
	if resp.StatusCode/100 != 2 {
		defer out.Abandon()
		return nil, statusError(name, resp.StatusCode, out)
	}
	return out, nil
}

// Response is an answer; read it as an io.Reader.
type Response struct {
	boundedReader
	// Endpoint is the path that was asked for, without the prefix of the URL.
	Endpoint string
	header   http.Header
	body     io.ReadCloser
}

// Finish ends an answer that was read, so that its connection can be used again
// if little or nothing is left.
func (r *Response) Finish() error {
	_, _ = io.CopyN(io.Discard, r.body, maxDrain) // what goes wrong here costs the connection, nothing else
	return r.body.Close()
}

// Abandon ends an answer of which no more is wanted.
func (r *Response) Abandon() { _ = r.body.Close() } // nothing depends on how it ends

// ContentType returns the media type and its parameters, lower case.
func (r *Response) ContentType() (string, map[string]string) {
	t, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil {
		return "", nil
	}
	return t, params
}

// WrongType says that the answer is of another kind than was asked for.
func (r *Response) WrongType() error {
	return &ContentTypeError{Endpoint: r.Endpoint, ContentType: r.header.Get("Content-Type"), Body: excerpt(r)}
}

// boundedReader reads a body and says in our terms why it ends.
type boundedReader struct {
	ctx      context.Context
	r        io.Reader
	max      int64
	read     int64
	received prometheus.Counter
	err      error // why reading failed; nil at the end of the body
}

func (b *boundedReader) Read(p []byte) (int, error) {
	if b.err != nil {
		return 0, b.err
	}
	if b.max > 0 {
		if more := b.max - b.read + 1; int64(len(p)) > more {
			p = p[:more] // one more than allowed tells too much from just enough
		}
	}
	n, err := b.r.Read(p)
	b.read += int64(n)
	if b.received != nil {
		b.received.Add(float64(n))
	}
	switch {
	case b.max > 0 && b.read > b.max:
		n, b.err = n-1, &store.LimitError{Limit: "bytes", Max: b.max}
	case errors.Is(err, io.EOF):
		return n, io.EOF
	case err != nil:
		b.err = fmt.Errorf("read answer: %w", transportError(b.ctx, err))
	}
	return n, b.err
}

// transportError is what err, which ended an exchange, says about the server: if
// the context ended nothing, else that it is unavailable.
func transportError(ctx context.Context, err error) error {
	if cause := ctx.Err(); cause != nil {
		if errors.Is(err, cause) {
			return err
		}
		return fmt.Errorf("%w: %w", cause, err)
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// statusError reads why a request was refused.
func statusError(endpoint string, code int, r io.Reader) error {
	e := &StatusError{Endpoint: endpoint, Code: code}
	body, _ := io.ReadAll(io.LimitReader(r, 16<<10)) // whatever can be had
	var api struct {
		ErrorType string `json:"errorType"`
		Error     string `json:"error"`
	}
	if json.Unmarshal(body, &api) == nil && api.Error != "" {
		e.Type, e.Message = api.ErrorType, shorten(api.Error, 4*maxExcerpt)
	} else {
		e.Message = excerpt(bytes.NewReader(body))
	}
	return e
}

// excerpt returns how a text begins.
func excerpt(r io.Reader) string {
	b, _ := io.ReadAll(io.LimitReader(r, 4*maxExcerpt)) // whatever can be had
	return shorten(string(b), maxExcerpt)
}

// shorten makes a text fit for an error: valid, on one line and short.
func shorten(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r != ' ' && !unicode.IsGraphic(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "..."
}
