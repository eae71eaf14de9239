package dedupcases

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/promql"

	"github.com/thanoskit/thanoskit/dedup"
	"github.com/thanoskit/thanoskit/dedup/deduptest"
)

var update = flag.Bool("update", false, "write the table of "+page)

const (
	page      = "../../docs/dedup.md"
	beginMark = "<!-- cases: begin;"
	endMark   = "<!-- cases: end -->"
)

// TestCases runs all cases and compares with the table of the page.
func TestCases(t *testing.T) {
	engine := newEngine(t)
	var table strings.Builder
	table.WriteString("| Case | Replicas say | Thanos v0.42.4 | thanoskit |\n| --- | --- | --- | --- |\n")
	for _, c := range cases {
		table.WriteString(c.row(t, engine))
	}
	text, err := os.ReadFile(page)
	testutil.Ok(t, err)
	head, rest, ok := strings.Cut(string(text), beginMark)
	mark, rest, _ := strings.Cut(rest, "\n")
	old, tail, found := strings.Cut(rest, endMark)
	testutil.Assert(t, ok && found, "%s has no place for the table", page)
	if *update {
		testutil.Ok(t, os.WriteFile(page, []byte(head+beginMark+mark+"\n"+table.String()+endMark+tail), 0o644))
		return
	}
	if d := cmp.Diff(strings.Split(old, "\n"), strings.Split(table.String(), "\n")); d != "" {
		t.Errorf("the table of %s is not what comes out, -update writes it:\n%s", page, d)
	}
}

// row is the case's row of the table.
func (c reported) row(t *testing.T, engine promql.QueryEngine) string {
	var replicas []deduptest.Replica
	var members []member
	for i, text := range c.replicas {
		p := parseReplica(t, text)
		replicas = append(replicas, slices.Concat(p...))
		members = append(members, newMember(t, string(rune('a'+i)), p))
	}
	if c.stores != nil {
		members = c.stores(members)
	}
	links := make([]string, len(c.threads))
	for i, th := range c.threads {
		links[i] = th.link()
	}
	first := []string{strings.Join(links, ", "), c.about}
	if c.made != "" {
		first = append(first, "*Made:* "+c.made+".")
	} else {
		first = append(first, "*As stated.*")
	}
	if c.says != "" {
		first = append(first, "*So:* "+c.says)
	}
	var say, theirs, ours []string
	for i, text := range c.replicas {
		say = append(say, fmt.Sprintf("%c: `%s`", 'a'+i, text))
	}
	for _, p := range c.probes {
		alone, thanos, us := p.run(t, engine, c, replicas, members)
		p.hold(t, c, alone, us)
		if p.expr != "" && !p.raw {
			var each []string
			for i, o := range alone {
				each = append(each, fmt.Sprintf("%c %s", 'a'+i, o.value(p)))
			}
			say = append(say, p.name()+": "+strings.Join(each, ", "))
		}
		theirs = append(theirs, p.name()+": "+thanos.text(p))
		ours = append(ours, p.name()+": "+us.text(p))
	}
	var cols []string
	for _, col := range [][]string{first, say, theirs, ours} {
		cols = append(cols, strings.ReplaceAll(strings.Join(col, "<br>"), " | ", " \\| "))
	}
	return "| " + strings.Join(cols, " | ") + " |\n"
}

// parseReplica reads the parts of a replica.
func parseReplica(t *testing.T, text string) (out []deduptest.Replica) {
	t.Helper()
	for part := range strings.SplitSeq(text, "|") {
		timelines, err := deduptest.Parse(strings.NewReader("timeline x\nreplica " + part))
		testutil.Ok(t, err)
		out = append(out, timelines[0].Replicas[0])
	}
	return out
}

// run is what the replicas say one by one, what Thanos says and what we say.
func (p probe) run(t *testing.T, engine promql.QueryEngine, c reported, replicas []deduptest.Replica, members []member) (alone []outcome, thanos, us outcome) {
	t.Helper()
	algorithm, alg := p.algorithms()
	if p.offline {
		thanos.samples, us.samples = thanosOffline(t, algorithm, members), ourOffline(t, alg, members)
		return nil, thanos, us
	}
	if p.expr == "" {
		thanos.samples = thanosSamples(t, algorithm, p.fn, replicas)
		var err error
		us.samples, err = deduptest.Walk(alg.Merge(nil, dedup.Untyped, deduptest.Iterables(c.inOrder(replicas))...))
		testutil.Ok(t, err)
		return nil, thanos, us
	}
	for _, m := range members {
		alone = append(alone, p.evaluate(t, engine, ourQueryable(t, nil, "", []member{m})))
	}
	stores := slices.Clone(members)
	if p.reversed {
		slices.Reverse(stores)
	}
	return alone, p.evaluate(t, engine, thanosQueryable(algorithm, stores)), p.evaluate(t, engine, ourQueryable(t, alg, c.prefer, stores))
}

// inOrder are the replicas with the preferred one first.
func (c reported) inOrder(replicas []deduptest.Replica) []deduptest.Replica {
	if c.prefer == "" {
		return replicas
	}
	i := int(c.prefer[0] - 'a')
	return slices.Concat(replicas[i:i+1], replicas[:i], replicas[i+1:])
}

// hold holds our outcome to the replicas' own: as many answers as the best of them,
// and none outside of theirs by more than the probe allows.
func (p probe) hold(t *testing.T, c reported, alone []outcome, us outcome) {
	t.Helper()
	if p.expr == "" || p.raw {
		return
	}
	if us.err != nil {
		t.Errorf("%v: %s: %v", c.threads, p.name(), us.err)
		return
	}
	var answers int
	var all []float64
	for _, o := range alone {
		answers = max(answers, len(o.points))
		all = append(all, o.points...)
	}
	if len(us.points) < answers {
		t.Errorf("%v: %s: %d answers, a replica alone has %d", c.threads, p.name(), len(us.points), answers)
	}
	least, most := slices.Min(all)-p.within, slices.Max(all)+p.within
	for _, v := range us.points {
		if v < least || v > most {
			t.Errorf("%v: %s: %v, want %v to %v", c.threads, p.name(), v, least, most)
			return
		}
	}
}
