package shipper

import (
	"context"
	"errors"

	"github.com/efficientgo/core/errcapture"

	"github.com/thanoskit/thanoskit/block"
)

// maxProblems is how many problems of a block a warning names.
const maxProblems = 10

// verify reads a block as readers do.
func (s *Shipper) verify(ctx context.Context, dir string) (err error) {
	b, err := block.Open(dir)
	if err != nil {
		return err
	}
	defer errcapture.Do(&err, b.Close, "close block")
	var problems []error
	series := b.Series()
	for series.Next() {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		for _, c := range series.Chunks() {
			if _, err := b.Chunk(c); err != nil && len(problems) < maxProblems {
				problems = append(problems, err)
			}
		}
	}
	return errors.Join(append(problems, series.Err())...)
}
