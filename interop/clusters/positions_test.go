package clusters

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// In every position the same questions have the same answers.
func TestPositions(t *testing.T) {
	t.Parallel() // Most of the time somebody is waited for.
	began := time.Now()
	all := positions()
	w := start(t, all[0], "penalty")
	t.Logf("started after %s", time.Since(began).Round(time.Millisecond))
	w.awaitScrapes()
	layouts := map[string]string{}
	var want map[string]*answer
	for i, pos := range all {
		began := time.Now()
		changed := w.swap(pos)
		w.awaitAll()
		w.awaitShipped()
		compacted := w.compactAll(pos)
		t.Logf("%s: swapped %q, compacted %q, in %s", pos.name, changed, compacted, time.Since(began).Round(time.Millisecond))
		for _, c := range compacted {
			if layouts[c] == "" {
				layouts[c] = w.layout(c)
				t.Log(layouts[c])
			}
			testutil.Equals(t, layouts[c], w.layout(c), "%s: blocks of %s", pos.name, c)
		}
		w.awaitSynced()
		began = time.Now()
		if i == 0 {
			want = w.first()
		}
		w.same(pos.name, want)
		w.refuses(pos.name)
		t.Logf("%s: asked for %s", pos.name, time.Since(began).Round(time.Millisecond))
		for n, x := range troubles(i) {
			w.cut(pos.name, observees[(i+n)%len(observees)], x, want)
		}
	}
}

// troubles are those that links are in, in the n-th position: all of them where all
// is ours, one of them elsewhere.
func troubles(n int) []trouble {
	all := []trouble{refuses, stalls, resets}
	if n == 1 && *swap != "all" {
		return all
	}
	return all[n%3:][:1]
}

// first returns the answers of the first position, after a look at them.
func (w *world) first() map[string]*answer {
	w.Helper()
	want := map[string]*answer{}
	for _, q := range w.questions() {
		err := w.awaitAnswer(&q, func(a *answer) error {
			switch {
			case q.lines >= 0 && len(a.lines()) != q.lines:
				return fmt.Errorf("want %d lines, got\n%.2000s", q.lines, a.text)
			case q.lines < 0 && a.text == "":
				return errors.New("answer is empty")
			case q.each != "" && slices.ContainsFunc(a.values, func(v string) bool { return v != q.each }):
				return fmt.Errorf("want %s everywhere, got\n%.2000s", q.each, a.text)
			}
			want[q.String()] = a
			return nil
		})
		if err != nil {
			w.Fatalf("%s: %v", q.String(), err)
		}
	}
	return want
}

// same fails unless questions have the answers that are wanted, within a while:
// gateways look at their buckets every second, and who was gone is connected with
// again.
func (w *world) same(when string, want map[string]*answer) {
	w.Helper()
	for _, q := range w.questions() {
		right := want[q.String()]
		if right == nil {
			continue
		}
		err := w.awaitAnswer(&q, func(got *answer) error {
			if right.text != got.text {
				return fmt.Errorf("answers differ:\n%s", diff(right, got))
			}
			return nil
		})
		if err != nil {
			w.Fatalf("%s: %s: %v", when, q.String(), err)
		}
	}
}

// settles is how long an answer may take to become right after something has changed:
// longer than the two minutes after which gRPC tries at the latest to connect again
// with who was gone for long.
const settles = proc.Patience

// awaitAnswer asks the top querier until an answer is whole and right, for a while.
func (w *world) awaitAnswer(q *question, right func(*answer) error) error {
	ctx, cancel := context.WithTimeout(w.Context(), settles)
	defer cancel()
	return await(ctx, func() error {
		a, err := ask(ctx, w.part("top").http, q)
		if err != nil {
			return err
		}
		if !a.whole() {
			return fmt.Errorf("answer is partial: %q", a.warnings)
		}
		return right(a)
	})
}

// diff shows the first lines of which one answer has other than the other.
func diff(want, got *answer) string {
	var b strings.Builder
	for _, side := range []struct {
		name       string
		has, other []string
	}{{"want", want.lines(), got.lines()}, {"got", got.lines(), want.lines()}} {
		shown := 0
		for _, line := range side.has {
			if slices.Contains(side.other, line) {
				continue
			}
			if shown++; shown <= 3 {
				fmt.Fprintf(&b, "%-4s %.400s\n", side.name, line)
			}
		}
		fmt.Fprintf(&b, "%-4s %d lines, %d of them not in the other\n", side.name, len(side.has), shown)
	}
	return b.String()
}

// await asks cond until it is nil, or the context ends; then it returns what was
// wrong last.
func await(ctx context.Context, cond func() error) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	var last error
	for {
		err := cond()
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return last
		}
	}
}
