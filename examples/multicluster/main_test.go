package main

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

func TestProofsHold(t *testing.T) {
	var out bytes.Buffer
	testutil.Ok(t, run(t.Context(), &out, "", ""), out.String())
	testutil.Assert(t, strings.Contains(out.String(), "3 of 3 proofs hold"), out.String())
}

// The label APIs of the Prometheus in this process are for -serve.
func TestLabelAPIs(t *testing.T) {
	top, err := startTopology(t.Context(), t.TempDir(), "")
	testutil.Ok(t, err)
	names, err := store.LabelNames(t.Context(), top.top, &store.LabelNamesRequest{MinTime: math.MinInt64, MaxTime: math.MaxInt64})
	testutil.Ok(t, err)
	testutil.Assert(t, slices.Contains(names, "instance") && slices.Contains(names, "cluster"), "%v", names)
	values, err := store.LabelValues(t.Context(), top.top, &store.LabelValuesRequest{Label: "job", MaxTime: math.MaxInt64})
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"prometheus", "shop"}, values)
	testutil.Ok(t, top.stop())
}

func TestEachBreakFailsAProof(t *testing.T) {
	failedBy := map[string]bool{}
	for _, how := range breaks {
		t.Run(how, func(t *testing.T) {
			var out bytes.Buffer
			testutil.NotOk(t, run(t.Context(), &out, how, ""), out.String())
			for line := range strings.SplitSeq(out.String(), "\n") {
				for i := range proofs {
					if strings.HasPrefix(line, "FAILED    "+proofs[i].claim) {
						failedBy[proofs[i].claim] = true
					}
				}
			}
		})
	}
	for i := range proofs {
		testutil.Assert(t, failedBy[proofs[i].claim], "nothing breaks the proof that %s", proofs[i].claim)
	}
	testutil.NotOk(t, run(t.Context(), &bytes.Buffer{}, "unknown", ""))
}
