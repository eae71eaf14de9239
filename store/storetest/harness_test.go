package storetest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/memstore"
)

func TestHarnessValidate(t *testing.T) {
	t.Parallel()
	right := reference
	for _, tc := range []struct {
		name string
		h    Harness
		want string // part of the error; empty for none
	}{
		{name: "right", h: Harness{New: right}},
		{name: "no store", want: "no New given"},
		{name: "lacking for no reason", h: Harness{New: right, Lacks: map[Feature]string{UTF8Names: ""}}, want: "without a reason"},
		{name: "lacking what there is not", h: Harness{New: right, Lacks: map[Feature]string{"colours": "grey"}}, want: `no feature is called "colours"`},
		{name: "skipping for no reason", h: Harness{New: right, Skip: map[string]string{"order": ""}}, want: "without a reason"},
		{name: "skipping what there is not", h: Harness{New: right, Skip: map[string]string{"ordre": "typo"}}, want: `no check is called "ordre"`},
		{name: "options", h: Harness{New: right, Patience: -1}, want: "Patience is negative"},
		{name: "external labels", h: Harness{New: right, ExternalLabels: labels.FromStrings("__name__", "x")}, want: "one of the fixture's own"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := tc.h.validate()
			if err == nil {
				_, err = tc.h.fixture()
			}
			if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
				t.Errorf("error is %v, want %q", err, tc.want)
			}
		})
	}
}

// TestSkips: what may be skipped is, and nothing else.
func TestSkips(t *testing.T) {
	t.Parallel()
	unable := func(t testing.TB, s store.Store) store.Store { // announces nothing
		return &broken{Store: s, describe: func(context.Context) (store.Info, error) { return store.Info{}, nil }}
	}
	undescribed := func(_ testing.TB, s store.Store) store.Store {
		return &broken{Store: s, describe: func(context.Context) (store.Info, error) { return store.Info{}, errors.New("not ready") }}
	}
	nothing := func(testing.TB, store.Store) store.Store { return &memstore.Store{} }
	for _, tc := range []struct {
		name  string
		wrap  func(t testing.TB, s store.Store) store.Store
		h     Harness
		check string
		want  Result
	}{
		{name: "known to fail", h: Harness{Skip: map[string]string{"order": "issue 7"}}, check: "order", want: Result{"order", Skipped, "issue 7"}},
		{
			name: "announced", h: Harness{Skip: map[string]string{"sharding-by": "later"}}, check: "sharding-by",
			want: Result{"sharding-by", Failed, "cannot be skipped: the store announces sharding"},
		},
		{
			name: "announced too", h: Harness{Skip: map[string]string{"replica-labels": "later"}}, check: "replica-labels",
			want: Result{"replica-labels", Failed, "cannot be skipped: the store announces the removal of replica labels"},
		},
		{name: "not announced, and known", wrap: unable, h: Harness{Skip: map[string]string{"sharding-by": "later"}}, check: "sharding-by", want: Result{"sharding-by", Skipped, "later"}},
		{name: "not announced", wrap: unable, check: "sharding-by", want: Result{"sharding-by", Skipped, "the store does not announce sharding"}},
		{name: "not known whether", wrap: undescribed, h: Harness{Skip: map[string]string{"sharding-by": "later"}}, check: "sharding-by", want: Result{"sharding-by", Failed, "ask for Info: not ready"}},
		{
			name: "lacking", h: Harness{Lacks: map[Feature]string{NativeHistograms: "floats only"}}, check: "histograms-mixed",
			want: Result{"histograms-mixed", Skipped, "no native histograms: floats only"},
		},
		{
			name: "lacking by implication", h: Harness{Lacks: map[Feature]string{NativeHistograms: "floats only"}}, check: "histograms-custom-buckets",
			want: Result{"histograms-custom-buckets", Skipped, "no custom buckets: floats only"},
		},
		{name: "no connection", check: "batches", want: Result{"batches", Skipped, "there is no connection to look at"}},
		{
			name: "nothing to look at", wrap: nothing, check: "matchers-equal",
			want: Result{"matchers-equal", Failed, `the store has no series for {__name__!=""}[1700000340000..1700002407500]`},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.h.New = func(t testing.TB, f *Fixture) store.Store {
				s := reference(t, f)
				if tc.wrap != nil {
					s = tc.wrap(t, s)
				}
				return s
			}
			f, err := tc.h.fixture()
			if err != nil {
				t.Fatal(err)
			}
			p, err := tc.h.probe(tc.h.New(t, f), f, nil)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range all() {
				if c.name != tc.check {
					continue
				}
				if got := tc.h.result(t.Context(), p, &c); got != tc.want {
					t.Errorf("got %q, want %q", got, tc.want)
				}
			}
		})
	}
}

// TestShardOf are golden vectors: xxhash64 over name, 0xff, value, 0xff of each
// label that takes part.
func TestShardOf(t *testing.T) {
	t.Parallel()
	up := labels.FromStrings("__name__", "up")
	full := labels.FromStrings("__name__", "up", "instance", "a:9090", "job", "node")
	replica := labels.FromStrings("__name__", "up", "instance", "a:9090", "job", "node", "r", "0")
	for _, tc := range []struct {
		lset labels.Labels
		by   bool
		want int64
	}{
		{labels.EmptyLabels(), true, 921},
		{labels.EmptyLabels(), false, 921},
		{up, true, 921},
		{up, false, 688},
		{full, true, 331},
		{full, false, 950},
		{labels.FromStrings("__name__", "up", "job", "näh"), true, 494},
		{labels.FromStrings("__name__", "up", "job", "näh"), false, 688},
		{without(replica, []string{"r"}), true, 331},
		{without(replica, []string{"r"}), false, 950},
	} {
		s := &store.Shard{Total: 1000, By: tc.by, Labels: []string{"job"}}
		if got := shardOf(s, tc.lset); got != tc.want {
			t.Errorf("%s by %t is in shard %d, want %d", tc.lset, tc.by, got, tc.want)
		}
	}
}

// TestChecks keeps names unique, and the list in the package comment complete.
func TestChecks(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for _, d := range Checks() {
		if seen[d.Name] {
			t.Errorf("two checks are called %s", d.Name)
		}
		seen[d.Name] = true
		if line := docLine(d); !strings.Contains(string(doc), line+"\n") {
			t.Errorf("doc.go lacks the line %q", line)
		}
	}
}

// docLine is how the package comment lists a check.
func docLine(d Description) string {
	star := ""
	if d.Fixture {
		star = "*"
	}
	return fmt.Sprintf("//\t%-29s%s", d.Name+star, d.Doc)
}
