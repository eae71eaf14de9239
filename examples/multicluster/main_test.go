package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var (
	// small is a history that is as long as the full one, with fewer samples.
	small = scale{age: fullScale.age, step: 10 * time.Minute, instances: 1}
	live  = scale{instances: 1} // without a history
)

func TestProofsHold(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	testutil.Ok(t, run(t.Context(), &out, options{scale: fullScale}, ""), out.String())
	testutil.Assert(t, strings.Contains(out.String(), "11 of 11 proofs hold"), out.String())
}

// The label APIs of the Prometheus in this process are for -serve.
func TestLabelAPIs(t *testing.T) {
	t.Parallel()
	top, err := startTopology(t.Context(), t.TempDir(), options{scale: live})
	testutil.Ok(t, err)
	names, err := store.LabelNames(t.Context(), top.top, &store.LabelNamesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64})
	testutil.Ok(t, err)
	testutil.Assert(t, slices.Contains(names, "instance") && slices.Contains(names, "cluster"), "%v", names)
	values, err := store.LabelValues(t.Context(), top.top, &store.LabelValuesRequest{Label: "job", MaxTime: math.MaxInt64})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"prometheus", "shop"}, values)
	testutil.Ok(t, top.stop())
}

// Each way to break the topology makes these proofs fail, and no others.
var fails = map[string]struct {
	scale  scale
	proofs []string
}{
	breakReplicaLabel: {live, []string{"scrape", "holes", "clusters"}},
	breakMember:       {live, []string{"scrape", "holes", "clusters", "no-certificate", "other-ca"}},
	breakHistory:      {small, []string{"raw", "5m", "1h", "span", "holes", "clusters"}},
	breakScrape:       {live, []string{"scrape"}},
	breakUpload:       {small, []string{"raw", "5m", "1h", "span"}},
	breakGateway:      {small, []string{"raw", "5m", "1h", "span"}},
	breakDownsample:   {small, []string{"5m", "1h", "span"}},
	breakRetention:    {small, []string{"1h", "retention", "span"}},
	breakCut:          {live, []string{"cut"}},
	breakCert:         {live, []string{"no-certificate", "other-ca"}},
	breakCA:           {live, []string{"other-ca"}},
}

func TestEachBreakFailsProofs(t *testing.T) {
	t.Parallel()
	for _, how := range breaks {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			err := run(t.Context(), &out, options{scale: fails[how].scale, broken: how}, "")
			testutil.NotOk(t, err, out.String())
			var failed []string
			for line := range strings.SplitSeq(out.String(), "\n") {
				if rest, ok := strings.CutPrefix(line, "FAILED    "); ok {
					name, _, _ := strings.Cut(rest, ":")
					failed = append(failed, name)
				}
			}
			testutil.Equals(t, fails[how].proofs, failed, out.String())
		})
	}
	testutil.NotOk(t, run(t.Context(), &bytes.Buffer{}, options{broken: "unknown"}, ""))
}

func TestEachProofFailsSomehow(t *testing.T) {
	t.Parallel()
	for _, p := range small.proofs() {
		found := false
		for _, f := range fails {
			found = found || slices.Contains(f.proofs, p.name)
		}
		testutil.Assert(t, found, "nothing breaks the proof %s", p.name)
	}
}
