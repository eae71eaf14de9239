package compact_test

import (
	"bytes"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
	"github.com/thanoskit/thanoskit/compact"
)

// The plans that docs/compaction.md shows are those of the golden bucket, and of the
// bucket of TestWriteTable.
func TestPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../docs/compaction.md")
	testutil.Ok(t, err)
	shown := regexp.MustCompile("(?s)```plan\n(.*?)```").FindAllSubmatch(page, -1)
	testutil.Equals(t, 2, len(shown))

	bkt := objstore.NewInMemBucket()
	_, err = blocktest.Golden(t.Context(), bkt, nil)
	testutil.Ok(t, err)
	f, err := block.NewFetcher(bkt, "", nil)
	testutil.Ok(t, err)
	view, err := f.Fetch(t.Context())
	testutil.Ok(t, err)
	// The blocks end in November 2023, and were uploaded later.
	s := compact.NewState(view, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	plan, err := compact.MakePlan(s, &compact.Options{Retention: compact.Retention{Raw: 30 * day}})
	testutil.Ok(t, err)
	var out bytes.Buffer
	testutil.Ok(t, plan.WriteTable(&out))
	testutil.Equals(t, out.String(), string(shown[0][1]))

	all, err := os.ReadFile("testdata/plan.txt")
	testutil.Ok(t, err)
	testutil.Assert(t, bytes.HasPrefix(all, shown[1][1]), "%s", shown[1][1])
	testutil.Assert(t, bytes.Contains(shown[1][1], []byte("overlap")), "%s", shown[1][1])

	// Names that the page has are those of the code.
	for _, name := range []string{
		compact.ReasonCorrupt, compact.ReasonUnsupported, block.ReasonOutOfOrderChunks, block.ReasonIndexSize, compact.ReasonNothingLeft,
		string(compact.ClassBucket), string(compact.ClassDisk), string(compact.ClassStale), string(compact.ClassOutput),
		string(compact.MarkUncovered),
	} {
		testutil.Assert(t, bytes.Contains(page, []byte("`"+name+"`")), "%s is not on the page", name)
	}
}
