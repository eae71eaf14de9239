package promstore

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

// Endpoints, below the URL of Prometheus.
const (
	readEndpoint        = "api/v1/read"
	seriesEndpoint      = "api/v1/series"
	labelNamesEndpoint  = "api/v1/labels"
	labelValuesEndpoint = "api/v1/label/%s/values"
	configEndpoint      = "api/v1/status/config"
	buildInfoEndpoint   = "api/v1/status/buildinfo"
	metricsEndpoint     = "metrics"
)

const (
	// maxExcerpt is the number of bytes of a foreign body that an error shows.
	maxExcerpt = 256
	// maxDrain is the number of bytes read to make a connection reusable.
	maxDrain = 64 << 10
)

// httpClient asks one Prometheus.
type httpClient struct {
	base   *url.URL
	client *http.Client
}

// call is one request.
type call struct {
	method   string
	endpoint string
	// form is sent as the query of a GET and as the body of a POST.
	form url.Values
	// body overrides form.
	body   []byte
	header http.Header
	// maxBytes bounds the answer; 0 is unlimited.
	maxBytes int64
	// received counts the bytes of the answer; nil counts none.
	received prometheus.Counter
}

// do sends the request and returns the answer if its status is a success. The
// caller finishes or abandons its body.
func (c *httpClient) do(ctx context.Context, r *call) (*response, error) {
	u := c.base.JoinPath(r.endpoint)
	var body io.Reader
	switch {
	case r.body != nil:
		body = bytes.NewReader(r.body)
	case r.method == http.MethodPost:
		body = strings.NewReader(r.form.Encode())
	case len(r.form) > 0:
		q := r.form.Encode()
		if u.RawQuery != "" {
			q = u.RawQuery + "&" + q
		}
		u.RawQuery = q
	}
	req, err := http.NewRequestWithContext(ctx, r.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	maps.Copy(req.Header, r.header)
	if r.body == nil && r.method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	req.Header.Set("User-Agent", "thanoskit")
	resp, err := c.client.Do(req) //nolint:bodyclose // finish and abandon close it
	if err != nil {
		return nil, transportError(ctx, err)
	}
	out := &response{
		boundedReader: boundedReader{ctx: ctx, r: resp.Body, max: r.maxBytes, received: r.received},
		endpoint:      r.endpoint, header: resp.Header, body: resp.Body,
	}
	if resp.StatusCode/100 != 2 {
		defer out.abandon()
		return nil, statusError(r.endpoint, resp.StatusCode, out)
	}
	return out, nil
}

// response is an answer; read it as an io.Reader.
type response struct {
	boundedReader
	endpoint string
	header   http.Header
	body     io.ReadCloser
}

// finish ends an answer that was read, so that its connection can be used again
// if little or nothing is left.
func (r *response) finish() error {
	_, _ = io.CopyN(io.Discard, r.body, maxDrain) // what goes wrong here costs the connection, nothing else
	return r.body.Close()
}

// abandon ends an answer of which no more is wanted.
func (r *response) abandon() { _ = r.body.Close() } // nothing depends on how it ends

// contentType returns the media type and its parameters, lower case.
func (r *response) contentType() (string, map[string]string) {
	t, params, err := mime.ParseMediaType(r.header.Get("Content-Type"))
	if err != nil {
		return "", nil
	}
	return t, params
}

// wrongType says that the answer is of another kind than was asked for.
func (r *response) wrongType() error {
	return &ContentTypeError{Endpoint: r.endpoint, ContentType: r.header.Get("Content-Type"), Body: excerpt(r)}
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
		b.err = fmt.Errorf("read answer of Prometheus: %w", transportError(b.ctx, err))
	}
	return n, b.err
}

// transportError is what err, which ended an exchange, says about Prometheus: if
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
