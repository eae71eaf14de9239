package compact_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"github.com/oklog/ulid/v2"
	"github.com/thanos-io/objstore"

	"github.com/thanoskit/thanoskit/block"
	"github.com/thanoskit/thanoskit/compact"
)

// denying is a bucket that does not give away some objects.
type denying struct {
	objstore.Bucket
	objects []string
}

func (d *denying) Get(ctx context.Context, name string) (io.ReadCloser, error) {
	if slices.Contains(d.objects, name) {
		return nil, errors.New("no access")
	}
	return d.Bucket.Get(ctx, name)
}

func TestNewState(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBucket(start)
	inner := objstore.NewInMemBucket()
	put := func(id ulid.ULID, file, content string) {
		testutil.Ok(t, inner.Upload(ctx, block.ObjectName(id, file), strings.NewReader(content)))
	}
	upload := func(id ulid.ULID) ulid.ULID {
		data, err := b.blocks[id].Meta.Encode()
		testutil.Ok(t, err)
		put(id, block.MetaFile, string(data))
		return id
	}
	plain := upload(b.add(0, 2*hour))
	marked := upload(b.add(2*hour, 4*hour, func(m *block.Meta) { m.Thanos.Files = nil }))
	for _, m := range []block.Mark{
		{Kind: block.NoCompactMark, Block: marked, Reason: block.ReasonManual},
		{Kind: block.NoDownsampleMark, Block: marked, Reason: block.ReasonManual},
	} {
		_, err := block.PutMark(ctx, inner, m)
		testutil.Ok(t, err)
	}
	put(marked, block.DeletionMarkFile, "{")
	partial, corrupt, denied := b.id(), b.id(), upload(b.add(4*hour, 6*hour))
	put(partial, "chunks/000001", "x")
	_, err := block.PutMark(ctx, inner, block.Mark{Kind: block.DeletionMark, Block: partial, Time: start})
	testutil.Ok(t, err)
	put(corrupt, block.MetaFile, "{")

	_, err = block.PutMark(ctx, inner, block.Mark{Kind: block.NoCompactMark, Block: plain, Reason: block.ReasonManual})
	testutil.Ok(t, err)
	f, err := block.NewFetcher(&denying{Bucket: inner, objects: []string{
		block.ObjectName(denied, block.MetaFile), block.ObjectName(plain, block.NoCompactMarkFile),
	}}, "", nil)
	testutil.Ok(t, err)
	v, err := f.Fetch(ctx)
	testutil.Ok(t, err)
	s := compact.NewState(v, start)
	testutil.Equals(t, start, s.Now)
	testutil.Equals(t, 2, len(s.Blocks))
	testutil.Equals(t, plain, s.Blocks[0].Meta.ULID)
	m := s.Blocks[0].Marks
	testutil.Assert(t, !m[block.DeletionMark].There && m[block.NoCompactMark].There && m[block.NoCompactMark].Mark == nil)
	testutil.Assert(t, errors.Is(m[block.NoCompactMark].Err, block.ErrIncomplete))
	m = s.Blocks[1].Marks
	testutil.Equals(t, marked, s.Blocks[1].Meta.ULID)
	testutil.Assert(t, m[block.DeletionMark].There && m[block.DeletionMark].Mark == nil)
	testutil.Assert(t, errors.Is(m[block.DeletionMark].Err, block.ErrCorrupt))
	testutil.Equals(t, block.ReasonManual, m[block.NoCompactMark].Mark.Reason)
	testutil.Equals(t, block.NoDownsampleMark, m[block.NoDownsampleMark].Mark.Kind)
	testutil.Equals(t, []ulid.ULID{marked}, s.Unsized())

	testutil.Equals(t, 2, len(s.Partials))
	testutil.Equals(t, partial, s.Partials[0].Block)
	testutil.Assert(t, errors.Is(s.Partials[0].Err, block.ErrPartial))
	testutil.Equals(t, start.Unix(), s.Partials[0].Deletion.Mark.Time.Unix())
	testutil.Assert(t, time.Since(s.Partials[0].Newest) < time.Hour)
	testutil.Equals(t, corrupt, s.Partials[1].Block)
	testutil.Assert(t, errors.Is(s.Partials[1].Err, block.ErrCorrupt))
	testutil.Equals(t, 2, len(s.Unknown))
	testutil.NotOk(t, s.Unknown[denied])
	testutil.NotOk(t, s.Unknown[plain])

	p, err := compact.MakePlan(s, nil)
	testutil.Ok(t, err)
	var out bytes.Buffer
	testutil.Ok(t, p.WriteTable(&out))
	for _, id := range []ulid.ULID{marked, partial, corrupt, denied} {
		testutil.Assert(t, strings.Contains(out.String(), id.String()), "%s is not in\n%s", id, out.String())
	}
}
