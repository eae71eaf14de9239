package faults_test

import (
	"bytes"
	"context"
	"math"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/test/bufconn"

	"github.com/thanoskit/thanoskit/internal/wire"
	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/fanout"
)

// rawCodec carries *[]byte as they are: a peer that can say anything.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }
func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}

// rawPeer is a server whose answers are bytes.
type rawPeer struct {
	info   []byte
	series [][]byte
}

// serve serves it in memory until the test ends, and returns a client of it.
func (p rawPeer) serve(t testing.TB) remote {
	t.Helper()
	storeDesc := grpc.ServiceDesc{ServiceName: "thanos.Store", HandlerType: (*any)(nil), Streams: []grpc.StreamDesc{{
		StreamName: "Series", ServerStreams: true, Handler: func(_ any, s grpc.ServerStream) error {
			var req []byte
			if err := s.RecvMsg(&req); err != nil {
				return err
			}
			for _, b := range p.series {
				if err := s.SendMsg(&b); err != nil {
					return err
				}
			}
			return nil
		},
	}}}
	infoDesc := grpc.ServiceDesc{ServiceName: "thanos.info.Info", HandlerType: (*any)(nil), Methods: []grpc.MethodDesc{{
		MethodName: "Info", Handler: func(_ any, _ context.Context, dec func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			var req []byte
			return &p.info, dec(&req)
		},
	}}}
	l := bufconn.Listen(64 << 10)
	srv := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.MaxSendMsgSize(math.MaxInt32), grpc.WaitForHandlers(true))
	srv.RegisterService(&storeDesc, nil)
	srv.RegisterService(&infoDesc, nil)
	served := make(chan struct{})
	go func() { defer close(served); _ = srv.Serve(l) }()
	t.Cleanup(func() { srv.Stop(); <-served })
	return dial(t, "passthrough:///memory", memoryDialer(l))
}

// messages are series as they are on the wire, each in a message of its own.
func messages(t testing.TB, ss ...*store.Series) [][]byte {
	t.Helper()
	var out [][]byte
	for _, s := range ss {
		v, _ := wire.View(nil, s)
		var enc wire.Encoder
		testutil.Ok(t, enc.Add(&v))
		out = append(out, slices.Clone(enc.Response()))
	}
	return out
}

// TestCorruptFrames: a peer sends what is well at first, and then what no peer may
// send.
func TestCorruptFrames(t *testing.T) {
	t.Parallel()
	var ss []*store.Series
	for s, err := range store.All(t.Context(), badData(t).Store, everything(), nil) {
		testutil.Ok(t, err)
		ss = append(ss, s)
	}
	info, err := badData(t).Describe(t.Context())
	testutil.Ok(t, err)
	good := messages(t, ss...)
	batch := func(ss ...*store.Series) []byte {
		var enc wire.Encoder
		for _, s := range ss {
			v, _ := wire.View(nil, s)
			testutil.Ok(t, enc.Add(&v))
		}
		return slices.Clone(enc.Response())
	}
	next := good[sentBefore]
	failed := func(is error, text ...string) fate {
		return fate{status: store.Failed, is: is, text: append(text, "series: "), arrived: sentBefore / 2}
	}
	for name, tc := range map[string]struct {
		bad  []byte
		want fate
	}{
		"truncated":                         {next[:len(next)/2], failed(store.ErrMalformed)},
		"cut by a byte":                     {next[:len(next)-1], failed(store.ErrMalformed)},
		"garbage":                           {bytes.Repeat([]byte{0xff}, 1000), failed(store.ErrMalformed)},
		"a text":                            {[]byte("<html>502 Bad Gateway</html>"), failed(store.ErrMalformed)},
		"a length beyond memory":            {[]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x07}, failed(store.ErrMalformed)},
		"one bit flipped in the first tag":  {append([]byte{next[0] ^ 1}, next[1:]...), failed(store.ErrMalformed)},
		"unsorted, in the next message":     {good[3], failed(store.ErrUnsorted, `a="0001"`)},
		"unsorted, in one message":          {batch(ss[sentBefore], ss[sentBefore+4], ss[sentBefore+2]), failed(store.ErrUnsorted)},
		"a label out of order, sorted here": {bytes.Replace(next, []byte("cluster"), []byte("Cluster"), 1), failed(store.ErrUnsorted)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				p := rawPeer{info: wire.AppendInfo(nil, &info), series: append(good[:sentBefore:sentBefore], tc.bad)}
				r := newRig(t, fanout.Options{}, fanout.Member{Store: p.serve(t)}, inMemory)
				r.check(t, tc.want)
			})
		})
	}
}
