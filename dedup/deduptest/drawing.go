package deduptest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"github.com/thanoskit/thanoskit/dedup"
)

// ParseDrawing reads a timeline that is drawn for people to look at:
//
//	            0    15   30   45   60   75   90 s
//	a           .    .    .                   .
//	b            .    .    .    .    .    .    .
//
//	Follow      a    a    a     b    b    b   a
//
// Input: A column is a time, the first line being the scale: numbers above the
// columns where they begin, and last the unit, as time.ParseDuration knows it.
// What stands left of the first number is a row's name. One letter from a to w is
// a replica, and what stands in its row are samples as they are in a timeline:
// a value where it begins; "." for a float that is the time in seconds, such as
// all replicas see of a counter that goes up by one each second; "x" for a stale
// marker.
//
// Any other name is an algorithm, and its row the samples wanted of it: letters,
// of which each stands in the column of a sample of that replica, or values as above. The
// name ends in "counters" if the values are known to be counters, then in "from"
// and a time if nothing earlier is merged.
//
// Output: a timeline without a name for each time from which something is
// merged, in order of the rows; the replicas are cut there.
//
// Errors: the number of the line and what is wrong with it.
func ParseDrawing(text string) ([]Timeline, error) {
	var d drawing
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimRight(line, " \t\r\n")
		if line == "" {
			continue
		}
		if err := d.line(line); err != nil {
			return nil, fmt.Errorf("parse drawing: line %d: %w", number, err)
		}
	}
	if len(d.timelines) == 0 {
		return nil, errors.New("parse drawing: nothing wanted")
	}
	return d.timelines, nil
}

// drawing is what was read of a drawing.
type drawing struct {
	left      int   // Column of the scale's first number.
	start     int64 // Its time, in ms.
	column    int64 // How many ms a column is; 0 before the scale is read.
	names     []byte
	replicas  []Replica
	starts    []int64 // From when on timelines merge, in ms.
	timelines []Timeline
}

// cell is a word of a line and the column that it begins in.
type cell struct {
	at   int
	text string
}

// cells are the words of a line from a column on.
func cells(line string, from int) (out []cell) {
	for i := from; i < len(line); i++ {
		if line[i] == ' ' {
			continue
		}
		if i == from || line[i-1] == ' ' {
			out = append(out, cell{at: i})
		}
		out[len(out)-1].text += line[i : i+1]
	}
	return out
}

func (d *drawing) line(line string) error {
	if d.column == 0 {
		return d.scale(line)
	}
	cut := min(d.left, len(line))
	name, row := strings.TrimSpace(line[:cut]), cells(line, cut)
	switch {
	case name == "":
		return errors.New("row has no name")
	case len(name) == 1 && 'a' <= name[0] && name[0] < 'x':
		return d.replica(name[0], row)
	default:
		return d.want(name, row)
	}
}

// scale reads the first line.
func (d *drawing) scale(line string) error {
	row := cells(line, 0)
	if len(row) < 3 {
		return errors.New("scale has less than two numbers and a unit")
	}
	unit := row[len(row)-1].text
	row = row[:len(row)-1]
	times := make([]int64, len(row))
	for i, c := range row {
		t, err := time.ParseDuration(c.text + unit)
		if err != nil {
			return fmt.Errorf("parse scale: %w", err)
		}
		times[i] = t.Milliseconds()
	}
	d.left, d.start = row[0].at, times[0]
	d.column = (times[1] - times[0]) / int64(row[1].at-row[0].at)
	if d.column <= 0 {
		return errors.New("scale does not ascend by ms")
	}
	for i, c := range row {
		if d.time(c.at) != times[i] {
			return fmt.Errorf("%s does not stand where the scale is at it", c.text)
		}
	}
	return nil
}

func (d *drawing) time(column int) int64 { return d.start + int64(column-d.left)*d.column }

func (d *drawing) replica(name byte, row []cell) error {
	if len(d.timelines) > 0 || slices.Contains(d.names, name) {
		return fmt.Errorf("replica %c comes after what is wanted, or twice", name)
	}
	var r Replica
	for _, c := range row {
		s, err := d.sample(c)
		if err != nil {
			return err
		}
		r = append(r, s)
	}
	d.names, d.replicas = append(d.names, name), append(d.replicas, r)
	return nil
}

// sample reads a value as it stands in the row of a replica.
func (d *drawing) sample(c cell) (Sample, error) {
	t := d.time(c.at)
	switch c.text {
	case ".":
		return Sample{T: t, Type: chunkenc.ValFloat, V: float64(t) / 1000}, nil
	case "x":
		c.text = "stale"
	}
	s, err := parseValue(c.text)
	s.T = t
	return s, err
}

func (d *drawing) want(name string, row []cell) error {
	fields := strings.Fields(name)
	w := Want{Algorithm: strings.ToLower(fields[0])}
	start, fields := d.start, fields[1:]
	if len(fields) > 0 && fields[0] == "counters" {
		w.Values, fields = dedup.Counters, fields[1:]
	}
	switch {
	case len(fields) == 2 && fields[0] == "from":
		t, err := parseTime(fields[1])
		if err != nil {
			return err
		}
		start = t
	case len(fields) > 0:
		return fmt.Errorf("parse name %q: want ALGORITHM [counters] [from TIME]", name)
	}
	for _, c := range row {
		samples, err := d.wanted(c)
		if err != nil {
			return err
		}
		w.Samples = append(w.Samples, samples...)
	}
	i := slices.Index(d.starts, start)
	if i < 0 {
		i = len(d.starts)
		d.starts = append(d.starts, start)
		d.timelines = append(d.timelines, Timeline{Replicas: d.from(start)})
	}
	d.timelines[i].Wants = append(d.timelines[i].Wants, w)
	return nil
}

// from are the replicas without what lies before a time.
func (d *drawing) from(start int64) []Replica {
	out := make([]Replica, len(d.replicas))
	for i, r := range d.replicas {
		at, _ := slices.BinarySearchFunc(r, start, compareTime)
		out[i] = r[at:]
	}
	return out
}

func compareTime(s Sample, t int64) int {
	switch {
	case s.T < t:
		return -1
	case s.T > t:
		return 1
	default:
		return 0
	}
}

// wanted reads a word of an algorithm's row.
func (d *drawing) wanted(c cell) ([]Sample, error) {
	if strings.ContainsFunc(c.text, func(r rune) bool { return r < 'a' || r > 'z' }) {
		s, err := d.sample(c)
		return []Sample{s}, err
	}
	out := make([]Sample, 0, len(c.text))
	for i := range len(c.text) {
		if c.text[i] == 'x' {
			s, err := d.sample(cell{c.at + i, "x"})
			if err != nil {
				return nil, err
			}
			out = append(out, s)
			continue
		}
		t := d.time(c.at + i)
		of := slices.Index(d.names, c.text[i])
		if of < 0 {
			return nil, fmt.Errorf("there is no replica %c", c.text[i])
		}
		at, ok := slices.BinarySearchFunc(d.replicas[of], t, compareTime)
		if !ok {
			return nil, fmt.Errorf("replica %c has no sample at %s", c.text[i], formatTime(t))
		}
		out = append(out, d.replicas[of][at])
	}
	return out, nil
}
