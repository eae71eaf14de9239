package block

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/oklog/ulid/v2"
)

// Problem is one kind of thing that is wrong with a block.
type Problem struct {
	Kind ProblemKind
	// Count is how often that is so.
	Count int
	// Examples are the first of them: errors with file, offset or series.
	Examples []error
}

// Report is what Verify found out about a block.
type Report struct {
	Block ulid.ULID
	// Problems are sorted by kind, what keeps readers from reading first. None is
	// good.
	Problems []Problem
	// IndexVersion is 0 if there is no index to be read.
	IndexVersion int
	// Stats and IndexStats are those of what is there, whatever meta.json says.
	// Samples are counted only if chunks were looked at.
	Stats      Stats
	IndexStats IndexStats
	// MinTime and MaxTime are those of the first and the last chunk in ms, both
	// inclusive, as the index has them; 0 without chunks.
	MinTime, MaxTime int64
}

// Err returns nil if nothing is wrong, else a VerifyError.
func (r *Report) Err() error {
	if len(r.Problems) == 0 {
		return nil
	}
	return &VerifyError{Report: r}
}

// Unreadable reports whether readers would fail at the block, or miss data.
func (r *Report) Unreadable() bool {
	return slices.ContainsFunc(r.Problems, func(p Problem) bool { return p.Kind.Unreadable() })
}

// Count returns how often something is wrong, 0 if it is not.
func (r *Report) Count(kind ProblemKind) int {
	for _, p := range r.Problems {
		if p.Kind == kind {
			return p.Count
		}
	}
	return 0
}

// String returns several lines: what the block has, then each problem with its
// examples.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "block %s: index version %d, %d series, %d chunks, %d samples\n",
		r.Block, r.IndexVersion, r.Stats.NumSeries, r.Stats.NumChunks, r.Stats.NumSamples)
	for _, p := range r.Problems {
		fmt.Fprintf(&b, "%s: %d\n", p.Kind, p.Count)
		for _, err := range p.Examples {
			fmt.Fprintf(&b, "  %v\n", err)
		}
		if more := p.Count - len(p.Examples); more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	if len(r.Problems) == 0 {
		b.WriteString("no problems\n")
	}
	return b.String()
}

// VerifyError is a block in which something is wrong.
type VerifyError struct{ Report *Report }

// Error returns one line with the kinds and how many there are of each.
func (e *VerifyError) Error() string {
	kinds := make([]string, len(e.Report.Problems))
	for i, p := range e.Report.Problems {
		kinds[i] = fmt.Sprintf("%s: %d", p.Kind, p.Count)
	}
	return fmt.Sprintf("verify block %s: %s", e.Report.Block, strings.Join(kinds, ", "))
}

// Unwrap returns all examples, for errors.Is and errors.As.
func (e *VerifyError) Unwrap() []error {
	var errs []error
	for _, p := range e.Report.Problems {
		errs = append(errs, p.Examples...)
	}
	return errs
}

// add counts a problem.
func (r *Report) add(kind ProblemKind, examples int, err error) {
	i := slices.IndexFunc(r.Problems, func(p Problem) bool { return p.Kind == kind })
	if i < 0 {
		i = len(r.Problems)
		r.Problems = append(r.Problems, Problem{Kind: kind})
	}
	p := &r.Problems[i]
	if p.Count++; len(p.Examples) < examples {
		p.Examples = append(p.Examples, err)
	}
}

// sort puts what readers fail at first.
func (r *Report) sort() {
	slices.SortStableFunc(r.Problems, func(a, b Problem) int {
		if x, y := a.Kind.Unreadable(), b.Kind.Unreadable(); x != y {
			if x {
				return -1
			}
			return 1
		}
		return strings.Compare(string(a.Kind), string(b.Kind))
	})
}

// kindOf says which kind of problem an error of reading is, given what it is if
// nothing else is known.
func kindOf(err error, otherwise ProblemKind) ProblemKind {
	switch {
	case errors.Is(err, ErrUnsupported):
		return Unsupported
	case errors.Is(err, ErrNotFound), errors.Is(err, errSegmentMissing):
		return MissingFile
	}
	return otherwise
}
