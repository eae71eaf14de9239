package deduptest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
)

// Timeline is one series' replicas and what merging them should give.
type Timeline struct {
	Name     string
	Replicas []Replica
	Wants    []Want
}

// Want is what one algorithm should give.
type Want struct {
	Algorithm string // As dedup.Parse reads it.
	Values    dedup.Values
	Steps     []Step
	Samples   []Sample
}

// Check merges the replicas by alg and compares with what is wanted: with new
// iterators, once more with those of the first time, and with iterators that are
// a dedup.FloatRunner.
//
// Errors: nil if both are equal, else one that shows all samples and where they
// part.
func (w *Want) Check(alg dedup.Algorithm, replicas []Replica) error {
	var it chunkenc.Iterator
	for _, round := range []struct {
		name     string
		replicas []chunkenc.Iterable
	}{
		{"new iterator", Iterables(replicas)},
		{"reused iterator", Iterables(replicas)},
		{"iterator over runs", runIterables(replicas)},
	} {
		it = alg.Merge(it, w.Values, round.replicas...)
		got, err := Walk(it, w.Steps...)
		if err != nil {
			return fmt.Errorf("walk %s: %w", round.name, err)
		}
		if i := Differ(w.Samples, got); i >= 0 {
			return fmt.Errorf("compare %s: from sample %d on:\nwant %s\ngot  %s", round.name, i, join(w.Samples), join(got))
		}
	}
	return nil
}

// Iterables returns the replicas as dedup.Algorithm takes them.
func Iterables(replicas []Replica) []chunkenc.Iterable {
	out := make([]chunkenc.Iterable, len(replicas))
	for i, r := range replicas {
		out[i] = r
	}
	return out
}

func runIterables(replicas []Replica) []chunkenc.Iterable {
	out := make([]chunkenc.Iterable, len(replicas))
	for i, r := range replicas {
		out[i] = r.Runs(100 >> (2 * i)) // 100, 25, 6, 1
	}
	return out
}

// Differ returns the index of the first sample in which a and b differ, which is
// the shorter one's length if that is where the longer one begins, or -1 if they
// are equal.
func Differ(a, b []Sample) int {
	for i := range min(len(a), len(b)) {
		if !a[i].Equal(b[i]) {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}

// Parse reads timelines in the form that the package comment describes.
//
// Errors: the number of the line and what is wrong with it; those of r.
func Parse(r io.Reader) ([]Timeline, error) {
	var (
		p      parser
		lines  = bufio.NewScanner(r)
		number int
		start  int    // Number of the line that pending began on.
		buf    string // A line with its continuations.
	)
	lines.Buffer(nil, 1<<20)
	flush := func() error {
		if err := p.line(buf); err != nil {
			return fmt.Errorf("parse timelines: line %d: %w", start, err)
		}
		return nil
	}
	for lines.Scan() {
		number++
		line := lines.Text()
		switch {
		case strings.TrimSpace(line) == "" || line[0] == '#':
			continue
		case line[0] == ' ' || line[0] == '\t':
			buf += line
			continue
		}
		if err := flush(); err != nil {
			return nil, err
		}
		buf, start = line, number
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read timelines: %w", err)
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return p.timelines, nil
}

type parser struct {
	timelines []Timeline
}

// line reads one statement.
func (p *parser) line(line string) error {
	keyword, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	if keyword == "" {
		return nil
	}
	if keyword == "timeline" {
		p.timelines = append(p.timelines, Timeline{Name: strings.TrimSpace(rest)})
		return nil
	}
	if len(p.timelines) == 0 {
		return fmt.Errorf("%q before the first timeline", keyword)
	}
	tl := &p.timelines[len(p.timelines)-1]
	switch keyword {
	case "replica":
		samples, err := parseAscending(rest)
		if err != nil {
			return err
		}
		tl.Replicas = append(tl.Replicas, samples)
		return nil
	case "want":
		want, err := parseWant(rest)
		if err != nil {
			return err
		}
		tl.Wants = append(tl.Wants, want)
		return nil
	default:
		return fmt.Errorf("unknown keyword %q", keyword)
	}
}

func parseAscending(text string) (Replica, error) {
	samples, err := parseFields(text)
	if err != nil {
		return nil, err
	}
	for i := 1; i < len(samples); i++ {
		if samples[i].T <= samples[i-1].T {
			return nil, fmt.Errorf("sample %s does not lie after %s", samples[i], samples[i-1])
		}
	}
	return samples, nil
}

func parseFields(text string) ([]Sample, error) {
	var out []Sample
	for field := range strings.FieldsSeq(text) {
		samples, err := parseSamples(field)
		if err != nil {
			return nil, err
		}
		out = append(out, samples...)
	}
	return out, nil
}

func parseWant(text string) (Want, error) {
	head, samples, ok := strings.Cut(text, " :")
	if !ok {
		return Want{}, errors.New("no colon before the samples wanted")
	}
	fields := strings.Fields(head)
	if len(fields) == 0 {
		return Want{}, errors.New("no algorithm")
	}
	w := Want{Algorithm: fields[0]}
	for _, field := range fields[1:] {
		to, isSeek := strings.CutPrefix(field, "seek=")
		switch {
		case field == "counters":
			w.Values = dedup.Counters
		case field == "next":
			w.Steps = append(w.Steps, Step{})
		case isSeek:
			t, err := parseTime(to)
			if err != nil {
				return Want{}, err
			}
			w.Steps = append(w.Steps, Step{Seek: true, To: t})
		default:
			return Want{}, fmt.Errorf("unknown step %q", field)
		}
	}
	var err error
	w.Samples, err = parseFields(samples)
	return w, err
}

// String returns the timeline in the form that Parse reads, ranges written out.
func (t Timeline) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "timeline %s\n", t.Name)
	for _, r := range t.Replicas {
		b.WriteString(strings.TrimRight("replica "+join(r), " ") + "\n")
	}
	for _, w := range t.Wants {
		b.WriteString("want " + w.Algorithm)
		if w.Values == dedup.Counters {
			b.WriteString(" counters")
		}
		for _, s := range w.Steps {
			b.WriteString(" " + s.String())
		}
		b.WriteString(strings.TrimRight(" : "+join(w.Samples), " ") + "\n")
	}
	return b.String()
}

func join(samples []Sample) string {
	out := make([]string, len(samples))
	for i, s := range samples {
		out[i] = s.String()
	}
	return strings.Join(out, " ")
}
