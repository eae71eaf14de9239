package wire_test

import (
	"errors"
	"math"
	"math/rand"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
)

func requireSameInfo(t testing.TB, want, got *store.Info) {
	t.Helper()
	testutil.Equals(t, len(want.LabelSets), len(got.LabelSets))
	for i, lset := range want.LabelSets {
		testutil.Equals(t, lset.String(), got.LabelSets[i].String())
	}
	testutil.Equals(t, len(want.TSDBs), len(got.TSDBs))
	for i, w := range want.TSDBs {
		g := got.TSDBs[i]
		testutil.Equals(t, w.Labels.String(), g.Labels.String())
		testutil.Equals(t, []int64{w.MinTime, w.MaxTime}, []int64{g.MinTime, g.MaxTime})
	}
	wmin, wmax := want.TimeRange()
	gmin, gmax := got.TimeRange()
	testutil.Equals(t, []int64{wmin, wmax}, []int64{gmin, gmax})
	testutil.Equals(t, want.Component, got.Component)
	testutil.Equals(t, want.SupportsSharding, got.SupportsSharding)
	testutil.Equals(t, want.SupportsWithoutReplicaLabels, got.SupportsWithoutReplicaLabels)
}

func TestInfoRoundTrip(t *testing.T) {
	r := random{rand.New(rand.NewSource(4))}
	for range 3000 {
		want := r.info()
		b := wire.AppendInfo(nil, want)
		got, apis, err := wire.DecodeInfo(b)
		testutil.Ok(t, err)
		clear(b)
		requireSameInfo(t, want, got)
		testutil.Equals(t, wire.StoreAPI, apis)
	}
}

func TestInfoThatSaysNothing(t *testing.T) {
	got, _, err := wire.DecodeInfo(wire.AppendInfo(nil, &store.Info{}))
	testutil.Ok(t, err)
	testutil.Equals(t, int64(math.MinInt64), got.MinTime)
	testutil.Equals(t, int64(math.MaxInt64), got.MaxTime)
	testutil.Equals(t, 0, len(got.LabelSets))

	// One set that may be of any series makes the others worthless: a reader
	// that skips it, as Thanos does, must not be left with them.
	got, _, err = wire.DecodeInfo(wire.AppendInfo(nil, &store.Info{
		LabelSets: []labels.Labels{labels.FromStrings("a", "b"), labels.EmptyLabels()},
	}))
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(got.LabelSets))
}

func TestDecodeInfoAPIs(t *testing.T) {
	all := wire.StoreAPI | wire.RulesAPI | wire.MetadataAPI | wire.TargetsAPI | wire.ExemplarsAPI | wire.QueryAPI | wire.StatusAPI
	for num, want := range []wire.APIs{
		3: wire.StoreAPI, 4: wire.RulesAPI, 5: wire.MetadataAPI, 6: wire.TargetsAPI,
		7: wire.ExemplarsAPI, 8: wire.QueryAPI, 9: wire.StatusAPI, 10: 0,
	} {
		if num < 3 {
			continue
		}
		_, got, err := wire.DecodeInfo(bytesField(protowire.Number(num)))
		testutil.Ok(t, err)
		testutil.Equals(t, want, got)
		testutil.Assert(t, all.Has(got))
	}
	_, got, err := wire.DecodeInfo(join(bytesField(9), bytesField(3), bytesField(7, varint(1, 5), varint(2, 6), unknown())))
	testutil.Ok(t, err)
	testutil.Equals(t, wire.StoreAPI|wire.ExemplarsAPI|wire.StatusAPI, got)
	testutil.Assert(t, !got.Has(wire.StoreAPI|wire.QueryAPI))
}

func TestDecodeInfoLeniently(t *testing.T) {
	got, apis, err := wire.DecodeInfo(join(
		unknown(),
		bytesField(1, unknown(), label("b", "2"), label("a", "1")), bytesField(1),
		stringField(2, "rule"), stringField(2, "sidecar"),
		bytesField(3, varint(1, 5), bytesField(6, bytesField(1, label("z", "1")), bytesField(1, label("y", "")), varint(2, 1), unknown())),
		bytesField(3, varint(2, 9), varint(4, 1), varint(3, 1), varint(5, 1), bytesField(6, varint(3, 2))),
	))
	testutil.Ok(t, err)
	testutil.Equals(t, wire.StoreAPI, apis)
	requireSameInfo(t, &store.Info{
		Component: "sidecar", MinTime: 5, MaxTime: 9, SupportsSharding: true, SupportsWithoutReplicaLabels: true,
		LabelSets: []labels.Labels{labels.FromStrings("a", "1", "b", "2"), labels.EmptyLabels()},
		TSDBs:     []store.TSDBInfo{{Labels: labels.FromStrings("y", "", "z", "1"), MinTime: 1}, {MaxTime: 2}},
	}, got)
	// Such a store may hold anything.
	ok, _ := got.MayHold(5, 9, []*labels.Matcher{labels.MustNewMatcher(labels.MatchEqual, "a", "other")})
	testutil.Assert(t, ok)

	got, apis, err = wire.DecodeInfo(bytesField(4))
	testutil.Ok(t, err)
	testutil.Assert(t, !apis.Has(wire.StoreAPI))
	testutil.Equals(t, int64(0), got.MaxTime)
}

func TestDecodeInfoDuplicateLabels(t *testing.T) {
	twice := join(label("a", "1"), label("b", "1"), label("a", "2"))
	for name, b := range map[string][]byte{
		"label set": bytesField(1, twice),
		"TSDB":      bytesField(3, bytesField(6, bytesField(1, twice))),
	} {
		_, _, err := wire.DecodeInfo(b)
		testutil.Assert(t, errors.Is(err, store.ErrMalformed), "%s: %v", name, err)
	}
}
