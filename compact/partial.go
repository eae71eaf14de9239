package compact

import (
	"errors"
	"fmt"
	"time"

	"github.com/thanoskit/thanoskit/block"
)

// PartialAbandoned reports whether nobody goes on with an upload that has not
// ended, judged by when the newest of all its objects was written: zero, which is
// not known, is no reason to delete anything. The time of the block's ULID does not
// count, in contrast to Thanos: an upload can begin long after that.
//
// Whoever deletes one lists its objects again, all of them, and asks this anew.
func PartialAbandoned(newest, now time.Time, opts *Options) bool {
	age := DefaultPartialAge
	if opts != nil && opts.PartialAge > 0 {
		age = opts.PartialAge
	}
	return !newest.IsZero() && now.Sub(newest) > age
}

// partials plans what becomes of prefixes that are no block.
func (p *planner) partials() {
	for i := range p.s.Partials {
		part := &p.s.Partials[i]
		if !p.o.ownsID(part.Block) {
			continue
		}
		skip := func(cause SkipCause, format string, args ...any) {
			p.plan.Skipped = append(p.plan.Skipped, Skip{Block: part.Block, Cause: cause, Why: fmt.Sprintf(format, args...)})
		}
		del := func(cause DeleteCause, since time.Time, format string, args ...any) {
			p.plan.Deletes = append(p.plan.Deletes, DeleteAction{Block: part.Block, Cause: cause, Since: since, Why: fmt.Sprintf(format, args...)})
		}
		mark := part.Deletion
		switch {
		case mark.Mark != nil && p.deletable(mark.Mark):
			del(DeleteMarked, mark.Mark.Time, "deletion has not ended; %s", markedSince(mark.Mark))
		case mark.Mark != nil:
			skip(SkipMarked, "to be deleted %s", when(mark.Mark.Time.Add(max(p.o.DeleteDelay, 0))))
		case !errors.Is(part.Err, block.ErrPartial):
			skip(SkipUnreadable, "%v", part.Err)
		case PartialAbandoned(part.Newest, p.s.Now, p.o):
			del(DeletePartial, part.Newest, "no whole meta.json, and nothing has been written since %s", when(part.Newest))
		case part.Newest.IsZero():
			skip(SkipPartial, "no whole meta.json; when its objects were written is not known")
		default:
			skip(SkipPartial, "no whole meta.json; newest object written %s", when(part.Newest))
		}
	}
}

// deletable reports whether a block was marked long enough ago.
func (p *planner) deletable(m *block.Mark) bool {
	return p.s.Now.Sub(m.Time) > max(p.o.DeleteDelay, 0)
}

func markedSince(m *block.Mark) string {
	if m.Details == "" {
		return "marked " + when(m.Time)
	}
	return "marked " + when(m.Time) + ": " + m.Details
}

// when writes a time for people.
func when(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05Z") }
