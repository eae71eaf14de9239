package block_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/block/blocktest"
)

func TestMarkJSON(t *testing.T) {
	t.Parallel()
	id := newID(1)
	for _, tc := range []struct {
		mark block.Mark
		want string
	}{
		{block.Mark{Kind: block.DeletionMark}, `{"id":"01EMS4F6G00000000000000001","version":1,"deletion_time":1700000000}`},
		{
			block.Mark{Kind: block.DeletionMark, Details: "<x>"},
			`{"id":"01EMS4F6G00000000000000001","version":1,"details":"\u003cx\u003e","deletion_time":1700000000}`,
		},
		{
			block.Mark{Kind: block.NoCompactMark, Reason: block.ReasonIndexSize},
			`{"id":"01EMS4F6G00000000000000001","version":1,"no_compact_time":1700000000,"reason":"index-size-exceeding"}`,
		},
		{
			block.Mark{Kind: block.NoDownsampleMark, Reason: block.ReasonManual, Details: "d"},
			`{"id":"01EMS4F6G00000000000000001","version":1,"details":"d","no_downsample_time":1700000000,"reason":"manual"}`,
		},
	} {
		t.Run(tc.mark.Kind.String(), func(t *testing.T) {
			t.Parallel()
			tc.mark.Block, tc.mark.Time = id, time.Unix(1_700_000_000, 0).UTC()
			b, err := tc.mark.Encode()
			testutil.Ok(t, err)
			testutil.Equals(t, tc.want, string(b))
			got, err := block.ParseMark(id, tc.mark.Kind, b)
			testutil.Ok(t, err)
			testutil.Equals(t, &tc.mark, got)
		})
	}
	_, err := block.Mark{Kind: 9, Block: id}.Encode()
	testutil.Assert(t, errors.Is(err, block.ErrUnsupported))
	_, err = block.Mark{}.Encode()
	testutil.NotOk(t, err)
	testutil.Equals(t, "mark 9", block.MarkKind(9).String())
}

func TestMarkHostile(t *testing.T) {
	t.Parallel()
	const id = `"id":"01EMS4F6G00000000000000001"`
	for _, tc := range []struct{ name, in, field string }{
		{"torn", `{"id"`, ""},
		{"version of another kind", `{` + id + `,"version":"1"}`, "version"},
		{"another block's", `{"id":"01EMS4F6G00000000000000002","version":1,"%s_time":1}`, "id"},
		{"before 1970", `{` + id + `,"version":1,"%s_time":-1}`, "%s_time"},
		{"huge", `{` + id + `,"version":1,"%s_time":1e30}`, "%s_time"},
	} {
		for kind, name := range map[block.MarkKind]string{block.DeletionMark: "deletion", block.NoCompactMark: "no_compact", block.NoDownsampleMark: "no_downsample"} {
			_, err := block.ParseMark(newID(1), kind, []byte(strings.ReplaceAll(tc.in, "%s", name)))
			metaErr, ok := errors.AsType[*block.MetaError](err)
			testutil.Assert(t, ok, "%s: %v", tc.name, err)
			testutil.Equals(t, strings.ReplaceAll(tc.field, "%s", name), metaErr.Field, tc.name)
			testutil.Equals(t, kind.File(), metaErr.File)
			testutil.Equals(t, newID(1), metaErr.Block)

			_, err = block.ParseMark(newID(1), kind, []byte(`{`+id+`,"version":2}`))
			testutil.Assert(t, errors.Is(err, block.ErrUnsupported), "%v", err)
		}
	}
	// A mark for deletion since 1970 would have the block deleted at once.
	_, err := block.ParseMark(newID(1), block.DeletionMark, []byte(`{`+id+`,"version":1}`))
	testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)
	_, err = block.ParseMark(newID(1), block.NoCompactMark, []byte(`{`+id+`,"version":1}`))
	testutil.Ok(t, err)
	_, err = block.ParseMark(newID(1), 7, nil)
	testutil.Assert(t, errors.Is(err, block.ErrUnsupported), "%v", err)
}

func TestPutMark(t *testing.T) {
	t.Parallel()
	ctx, id := context.Background(), newID(1)
	for kind := block.DeletionMark; kind <= block.NoDownsampleMark; kind++ {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			bkt := blocktest.NewBucket(objstore.NewInMemBucket())
			_, err := block.ReadMark(ctx, bkt, id, kind)
			testutil.Assert(t, errors.Is(err, block.ErrNotFound), "%v", err)
			removed, err := block.RemoveMark(ctx, bkt, id, kind)
			testutil.Ok(t, err)
			testutil.Assert(t, !removed)

			begin := time.Now()
			put1, err := block.PutMark(ctx, bkt, block.Mark{Kind: kind, Block: id, Details: "first"})
			testutil.Ok(t, err)
			testutil.Assert(t, put1)
			first, err := block.ReadMark(ctx, bkt, id, kind)
			testutil.Ok(t, err)
			since(t, begin, first.Time)

			// The first one stays, with its time.
			put2, err := block.PutMark(ctx, bkt, block.Mark{Kind: kind, Block: id, Time: time.Unix(1, 0), Details: "second"})
			testutil.Ok(t, err)
			testutil.Assert(t, !put2)
			second, err := block.ReadMark(ctx, bkt, id, kind)
			testutil.Ok(t, err)
			testutil.Equals(t, first, second)

			removed, err = block.RemoveMark(ctx, bkt, id, kind)
			testutil.Ok(t, err)
			testutil.Assert(t, removed)
			testutil.Equals(t, 0, len(objects(t, bkt)))

			// One that is torn is replaced; one of the future is not.
			put(t, bkt, block.ObjectName(id, kind.File()), `{"id":`)
			put3, err := block.PutMark(ctx, bkt, block.Mark{Kind: kind, Block: id})
			testutil.Ok(t, err)
			testutil.Assert(t, put3)
			put(t, bkt, block.ObjectName(id, kind.File()), fmt.Sprintf(`{"id":%q,"version":2}`, id))
			_, err = block.PutMark(ctx, bkt, block.Mark{Kind: kind, Block: id})
			testutil.Assert(t, errors.Is(err, block.ErrUnsupported), "%v", err)

			put(t, bkt, block.ObjectName(id, kind.File()), strings.Repeat(" ", 2<<20))
			_, err = block.ReadMark(ctx, bkt, id, kind)
			testutil.Assert(t, errors.Is(err, block.ErrCorrupt), "%v", err)

			bkt.Fail(blocktest.EveryNth(1, blocktest.ErrFault))
			_, err = block.PutMark(ctx, bkt, block.Mark{Kind: kind, Block: id})
			testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
			_, err = block.RemoveMark(ctx, bkt, id, kind)
			testutil.Assert(t, errors.Is(err, blocktest.ErrFault), "%v", err)
			testutil.Equals(t, 0, bkt.OpenBodies())
		})
	}
	_, err := block.PutMark(ctx, objstore.NewInMemBucket(), block.Mark{})
	testutil.NotOk(t, err)
	_, err = block.ReadMark(ctx, objstore.NewInMemBucket(), id, 5)
	testutil.Assert(t, errors.Is(err, block.ErrUnsupported), "%v", err)
}

func FuzzMark(f *testing.F) {
	f.Add(uint8(0), []byte(`{"id":"01EMS4F6G00000000000000001","version":1,"deletion_time":1700000000}`))
	f.Add(uint8(1), []byte(`{"id":"01EMS4F6G00000000000000001","version":1,"no_compact_time":1,"reason":"manual","details":"x"}`))
	f.Fuzz(func(t *testing.T, kind uint8, in []byte) {
		m, err := block.ParseMark(newID(1), block.MarkKind(kind), in)
		if err != nil {
			if !errors.Is(err, block.ErrCorrupt) && !errors.Is(err, block.ErrUnsupported) {
				t.Fatalf("untyped: %v", err)
			}
			return
		}
		b, err := m.Encode()
		testutil.Ok(t, err)
		again, err := block.ParseMark(newID(1), block.MarkKind(kind), b)
		testutil.Ok(t, err)
		testutil.Equals(t, m, again)
	})
}
