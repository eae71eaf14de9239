package compact

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/oklog/ulid/v2"

	"github.com/thanoskit/thanoskit/block"
)

// WriteTable writes the plan for people: what would be compacted, downsampled,
// marked and deleted, what is held back and left alone, and why. Times are UTC.
//
// Errors: those of w.
func (p *Plan) WriteTable(w io.Writer) error {
	t := &table{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}
	t.section("COMPACTIONS", "GROUP", "FROM", "TO", "BLOCKS", "BYTES", "WRITES", "WHY")
	t.jobs(p.Jobs, Compact)
	t.section("DOWNSAMPLINGS", "GROUP", "FROM", "TO", "BLOCK", "BYTES", "WRITES", "WHY")
	t.jobs(p.Jobs, DownsampleOnly)
	t.section("MARKS", "BLOCK", "RESOLUTION", "FROM", "TO", "MARK", "CAUSE", "WHY")
	for _, m := range p.Marks {
		t.row(m.Meta.ULID, m.Meta.Resolution(), at(m.Meta.MinTime), at(m.Meta.MaxTime), m.Mark.Kind, m.Cause, m.Why)
	}
	t.section("DELETIONS", "BLOCK", "CAUSE", "SINCE", "WHY")
	for _, d := range p.Deletes {
		t.row(d.Block, d.Cause, when(d.Since), d.Why)
	}
	t.section("HELD PAST RETENTION", "BLOCK", "RESOLUTION", "FROM", "TO", "SINCE", "UNTIL", "NOT IN", "WHY")
	for _, h := range p.Held {
		until := "covered"
		if !h.Until.IsZero() {
			until = when(h.Until)
		}
		t.row(h.Meta.ULID, h.Meta.Resolution(), at(h.Meta.MinTime), at(h.Meta.MaxTime), when(h.Since), until, h.Next, h.Why)
	}
	t.section("LEFT ALONE", "BLOCK", "CAUSE", "WHY")
	for _, s := range p.Skipped {
		t.row(s.Block, s.Cause, s.Why)
	}
	t.section("OF OTHER SHARDS", "GROUP", "FROM", "TO", "BLOCKS", "BYTES", "WRITES", "WHY")
	t.jobs(p.Foreign, Compact)
	t.jobs(p.Foreign, DownsampleOnly)
	t.end()
	if t.sections > 0 {
		_, _ = fmt.Fprintln(t.w)
	}
	r := p.Remaining
	_, _ = fmt.Fprintf(t.w, "Until nothing is left to do: %s of %s, %s made. %s past retention.\n",
		count(r.Compactions, "compaction"), count(r.CompactionBlocks, "block"), count(r.Downsamplings, "downsampled block"),
		count(r.Deletions, "block"))
	return t.w.Flush() // tabwriter keeps the first error of w.
}

// table writes sections that have rows.
type table struct {
	w        *tabwriter.Writer
	header   string
	rows     []string
	sections int
}

func (t *table) section(title string, columns ...string) {
	t.end()
	t.header = title + "\n" + strings.Join(columns, "\t")
}

func (t *table) row(cells ...any) {
	row := make([]string, len(cells))
	for i, c := range cells {
		row[i] = oneLine(fmt.Sprint(c))
	}
	t.rows = append(t.rows, strings.Join(row, "\t"))
}

func (t *table) end() {
	if len(t.rows) == 0 {
		return
	}
	if t.sections > 0 {
		_, _ = fmt.Fprintln(t.w)
	}
	t.sections++
	_, _ = fmt.Fprintln(t.w, t.header)
	for _, row := range t.rows {
		_, _ = fmt.Fprintln(t.w, row)
	}
	t.rows = nil
}

func (t *table) jobs(jobs []Job, kind JobKind) {
	for i := range jobs {
		j := &jobs[i]
		if j.Kind != kind {
			continue
		}
		blocks := any(len(j.Sources))
		if kind == DownsampleOnly {
			blocks = j.Sources[0].ULID
		}
		writes := make([]string, len(j.Outputs))
		for i, res := range j.Outputs {
			writes[i] = res.String()
		}
		why := j.Why
		if kind == Compact {
			why += ": " + blockIDs(j.Sources)
		}
		t.row(j.Group, at(j.MinTime), at(j.MaxTime), blocks, sizeOf(j.Sources), strings.Join(writes, "+"), why)
	}
}

// blockIDs names blocks.
func blockIDs(ms []*block.Meta) string {
	ids := make([]ulid.ULID, len(ms))
	for i, m := range ms {
		ids[i] = m.ULID
	}
	slices.SortFunc(ids, ulid.ULID.Compare)
	names := make([]string, 0, shownIDs+1)
	for i, id := range ids {
		if i == shownIDs {
			names = append(names, "...")
			break
		}
		names = append(names, id.String())
	}
	return strings.Join(names, ", ")
}

// sizeOf returns how many bytes blocks have, as far as meta.json says.
func sizeOf(ms []*block.Meta) string {
	var n int64
	for _, m := range ms {
		for _, f := range m.Thanos.Files {
			n += f.SizeBytes
		}
	}
	if n == 0 {
		return "?"
	}
	return bytesOf(n)
}

// bytesOf writes a size in powers of 1024.
func bytesOf(n int64) string {
	const units = "KMGTPE"
	if n < 1<<10 {
		return fmt.Sprintf("%d B", n)
	}
	f, i := float64(n)/(1<<10), 0
	for f >= 1000 && i < len(units)-1 {
		f, i = f/(1<<10), i+1
	}
	return fmt.Sprintf("%.3g %ciB", f, units[i])
}

// at writes a time of a block, in ms.
func at(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02 15:04") }

// count writes a number of something.
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// maxCell is how many bytes of a text are shown.
const maxCell = 200

// oneLine makes a text fit into a cell.
func oneLine(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s)
	if len(s) > maxCell {
		s = strings.ToValidUTF8(s[:maxCell], "") + "..."
	}
	return s
}
