package promapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/internal/encoded"
	"github.com/thanoskit/thanoskit/internal/promapi"
	"github.com/thanoskit/thanoskit/store"
)

func TestParams(t *testing.T) {
	t.Parallel()
	for ms, want := range map[int64]string{
		0: "1970-01-01T00:00:00Z", -1: "1969-12-31T23:59:59.999Z", 1435781430781: "2015-07-01T20:10:30.781Z",
		math.MinInt64: "0001-01-01T00:00:00Z", math.MaxInt64: "9999-12-31T23:59:59.999Z",
	} {
		testutil.Equals(t, want, promapi.FormatTime(ms))
	}
	for name, want := range map[string]string{"a": "U__a", "a_b": "U__a__b", "1a": "U___31_a", "é": "U___e9_", "U__x": "U__U____x"} {
		testutil.Equals(t, want, promapi.EscapeName(name))
	}
	ms := []*labels.Matcher{labels.MustNewMatcher(labels.MatchRegexp, "__name__", "a|b"), labels.MustNewMatcher(labels.MatchEqual, "é", `"\`)}
	testutil.Equals(t, `{__name__=~"a|b","é"="\"\\"}`, promapi.Selector(ms))
	testutil.Equals(t, url.Values{"match[]": {promapi.Selector(ms)}, "start": {promapi.FormatTime(1)}, "end": {promapi.FormatTime(2)}, "limit": {"3"}}, promapi.Form(ms, 1, 2, 3))
	testutil.Equals(t, url.Values{"start": {promapi.FormatTime(1)}, "end": {promapi.FormatTime(2)}}, promapi.Form(nil, 1, 2, 0))
}

func TestURL(t *testing.T) {
	t.Parallel()
	for rawURL, good := range map[string]bool{"http://host/prefix?a=b": true, "https://host": true, "host:9090": false, "http://": false, "%": false} {
		_, err := promapi.ParseURL(rawURL)
		testutil.Equals(t, good, err == nil, rawURL)
	}
}

// serve answers every request with a body, as JSON, and tells what it was asked.
func serve(t *testing.T, code int, body string) (*promapi.Client, *[]string) {
	t.Helper()
	asked := &[]string{}
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		testutil.Ok(t, err)
		*asked = append(*asked, r.Method+" "+r.URL.String()+" "+string(b))
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	base, err := promapi.ParseURL(srv.URL + "/prefix?tenant=x")
	testutil.Ok(t, err)
	client, closeIdle := promapi.NewClient()
	t.Cleanup(func() {
		closeIdle()
		srv.Close()
	})
	return &promapi.Client{Base: base, HTTP: client}, asked
}

func TestLabelSets(t *testing.T) {
	t.Parallel()
	c, asked := serve(t, http.StatusOK, `{"status":"success","infos":["i"],"warnings":["w","results truncated due to limit"],"data":[{"b":"1"},{"a":"2","b":""},{"b":"1"},{"c":"3","a":"2"}]}`)
	form := url.Values{"x": {"y"}}
	for _, call := range []*promapi.Call{
		{Method: http.MethodPost, Endpoint: "api/v1/series", Form: form}, {Method: http.MethodGet, Endpoint: "api/v1/series", Form: form}, {Method: http.MethodPost, Body: []byte("z")},
	} {
		resp, err := c.Do(t.Context(), call)
		testutil.Ok(t, err)
		var sets promapi.LabelSets
		warnings, err := promapi.Decode(resp, sets.DecodeJSON)
		testutil.Ok(t, err)
		testutil.Ok(t, resp.Finish())
		testutil.Equals(t, []string{"w"}, warnings)
		for limit, want := range map[int]string{0: `{a="2"}{a="2", c="3"}{b="1"}`, 1: `{a="2"}`, 9: `{a="2"}{a="2", c="3"}{b="1"}`} {
			got := ""
			sb := labels.NewScratchBuilder(0)
			for f := range sets.Frames(limit) {
				for i := range f.Series {
					got += encoded.Labels(f.Series[i].Labels, &sb).String()
				}
			}
			testutil.Equals(t, want, got)
		}
	}
	testutil.Equals(t, []string{"POST /prefix/api/v1/series?tenant=x x=y", "GET /prefix/api/v1/series?tenant=x&x=y ", "POST /prefix?tenant=x z"}, *asked)
}

func TestDecodeErrors(t *testing.T) {
	t.Parallel()
	limit := &store.LimitError{Limit: "samples", Max: 1}
	for _, tc := range []struct {
		name, body string
		code       int
		data       error
		want       error
		text       string
	}{
		{name: "status", code: 502, body: "<html>", want: store.ErrUnavailable, text: "api/v1/x answered 502 Bad Gateway: <html>"},
		{name: "error", body: `{"status":"error","errorType":"t","error":"e"}`, text: "t: e"},
		{name: "no data", body: `{"status":"success"}`, want: store.ErrMalformed, text: "no data"},
		{name: "no status", body: `{"data":[]}`, want: store.ErrMalformed, text: `status ""`},
		{name: "cut", body: `{"data":[`, want: store.ErrMalformed, text: "unexpected EOF"},
		{name: "limit", body: `{"data":[]}`, data: limit, want: store.ErrLimit, text: "samples limit of 1 exceeded"},
		{name: "data", body: `{"data":[]}`, data: errors.New("odd"), want: store.ErrMalformed, text: "odd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c, _ := serve(t, max(tc.code, 200), tc.body)
			resp, err := c.Do(t.Context(), &promapi.Call{Method: http.MethodGet, Endpoint: "api/v1/x"})
			if err == nil {
				_, err = promapi.Decode(resp, func(dec *json.Decoder) error {
					var all []string
					return errors.Join(tc.data, dec.Decode(&all))
				})
				resp.Abandon()
			}
			testutil.Assert(t, err != nil && strings.Contains(err.Error(), tc.text), "%v", err)
			testutil.Assert(t, tc.want == nil || errors.Is(err, tc.want), "%v", err)
		})
	}
}
