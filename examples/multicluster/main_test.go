package main

import (
	"context"
	"flag"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var (
	// small is a history that is as long as the full one, with fewer samples.
	small = scale{age: fullScale.age, step: 10 * time.Minute, instances: 1}
	live  = scale{instances: 1} // without a history
)

// fails is how each way to break the topology shows.
var fails = map[string]struct {
	scale  scale    // that this takes; of the topology that is running if zero
	proofs []string // that fail, and no others
}{
	breakReplicaLabel: {proofs: []string{"span", "scrape", "holes", "clusters"}},
	breakGateway:      {proofs: []string{"raw", "5m", "1h", "span"}},
	breakCut:          {proofs: []string{"cut"}},
	breakCert:         {proofs: []string{"no-certificate", "other-ca"}},
	breakCA:           {proofs: []string{"other-ca"}},
	breakMember:       {proofs: []string{"raw", "5m", "1h", "retention", "span", "scrape", "holes", "clusters", "no-certificate", "other-ca"}},
	breakScrape:       {live, []string{"scrape"}},
	breakUpload:       {small, []string{"raw", "5m", "1h", "span"}},
	breakHistory:      {small, []string{"raw", "5m", "1h", "span", "holes", "clusters"}},
	breakDownsample:   {small, []string{"5m", "1h", "span"}},
	breakRetention:    {small, []string{"1h", "retention", "span"}},
}

// One topology, all of whose proofs hold, and then its boundary and its top querier
// broken in turn.
func TestProofs(t *testing.T) {
	top, err := startTopology(t.Context(), t.TempDir(), options{scale: small})
	testutil.Ok(t, err)
	defer func() { testutil.Ok(t, top.stop()) }()
	var out strings.Builder
	top.describe(&out)
	testutil.Equals(t, []string(nil), top.proveAll(&out), out.String())
	for _, how := range breaks {
		if fails[how].scale != (scale{}) {
			continue
		}
		t.Run(how, func(t *testing.T) {
			top.broken = how
			for _, c := range top.observees {
				testutil.Ok(t, top.startBoundary(c))
			}
			testutil.Ok(t, top.startTop())
			var out strings.Builder
			testutil.Equals(t, fails[how].proofs, top.proveAll(&out), out.String())
		})
	}
}

// What else there is to break takes a topology each.
func TestBreaks(t *testing.T) {
	for _, how := range breaks {
		if fails[how].scale == (scale{}) {
			continue
		}
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := run(t.Context(), &out, options{scale: fails[how].scale, broken: how})
			testutil.NotOk(t, err, out.String())
			testutil.Assert(t, strings.HasSuffix(err.Error(), "proofs failed: "+strings.Join(fails[how].proofs, ", ")), "%v: %s", err, &out)
		})
	}
	testutil.NotOk(t, run(t.Context(), io.Discard, options{broken: "unknown"}))
}

func TestEachProofFailsSomehow(t *testing.T) {
	t.Parallel()
	for _, p := range fullScale.proofs() {
		found := false
		for _, how := range breaks {
			found = found || slices.Contains(fails[how].proofs, p.name)
		}
		testutil.Assert(t, found, "nothing breaks the proof %s", p.name)
	}
}

// lines hands on what is written, line by line.
type lines chan string

func (l lines) Write(b []byte) (int, error) {
	for line := range strings.Lines(string(b)) {
		l <- line
	}
	return len(b), nil
}

// What is served for a browser, the label APIs of the Prometheus behind it.
func TestServe(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	out, ended := make(lines), make(chan error, 1)
	go func() {
		defer close(out)
		ended <- run(ctx, out, options{scale: live, http: "127.0.0.1:0"})
	}()
	served := false
	for line := range out {
		_, url, found := strings.Cut(line, "http://127.0.0.1:")
		if !found || !strings.HasPrefix(line, "serving") {
			continue
		}
		served = true
		url = "http://127.0.0.1:" + strings.Fields(url)[0]
		for path, want := range map[string]string{
			"/api/v1/labels":                `"__name__","cluster","instance","job"`,
			"/api/v1/label/job/values":      `"prometheus","shop"`,
			"/api/v1/series?match[]=up":     `"cluster":"hub"`,
			"/api/v1/query?query=count(up)": `"3"`,
		} {
			if body, err := get(ctx, url+path); err != nil || !strings.Contains(body, want) {
				t.Errorf("%s: no %s in %s, %v", path, want, body, err)
			}
		}
		cancel()
	}
	testutil.Ok(t, <-ended)
	testutil.Assert(t, served)
}

func get(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

func TestServeFlag(t *testing.T) {
	t.Parallel()
	for arg, want := range map[string]string{"-serve": "127.0.0.1:9090", "-serve=:80": ":80"} {
		var a address
		flags := flag.NewFlagSet("", flag.ContinueOnError)
		flags.Var(&a, "serve", "")
		testutil.Ok(t, flags.Parse([]string{arg}))
		testutil.Equals(t, want, a.String())
	}
}
