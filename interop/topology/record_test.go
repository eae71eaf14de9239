package topology

import (
	"context"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

var record = flag.Bool("record", false, "write what real components send each other into the corpora of internal/wire's fuzz targets")

// What real components send each other decodes, and can be recorded for
// internal/wire's fuzz targets: a proxy stands between a real querier and the
// real sidecars, and between a real querier and that querier.
func TestRecordedFrames(t *testing.T) {
	t.Parallel()
	h, a, b := prometheusPair(t, currentPrometheus, currentPrometheus, "c1")
	r := &recorder{seen: map[string]map[string][]byte{}}
	behind := func(s *server) *server { return &server{Process: s.Process, grpc: r.proxy(t, s.grpc)} }
	lower := querier(t, "thanos", "none", behind(sidecar(t, "thanos", a)), behind(sidecar(t, "thanos", b)))
	top := querier(t, "thanos", "none", behind(lower))
	for _, q := range questions {
		h.ask(t, top, "http://"+top.http, q, nil)
	}
	for _, path := range []string{"labels", "label/instance/values", "label/replica/values?match[]=temperature", "series?match[]=temperature&limit=2", "labels?match[]=nothing"} {
		if _, err := proc.Get(t.Context(), "http://"+top.http+"/api/v1/"+path); err != nil {
			t.Error(err)
		}
	}
	for _, target := range []string{"FuzzDecodeSeriesRequest", "FuzzDecodeLabelNamesRequest", "FuzzDecodeLabelValuesRequest", "FuzzDecodeStrings", "FuzzDecodeInfo", "FuzzDecodeResponse"} {
		if r.recorded(target) == 0 {
			t.Errorf("nothing was sent for %s", target)
		}
	}
	if *record {
		r.write(t, filepath.Join("..", "..", "internal", "wire", "testdata", "fuzz"))
	}
}

// recorder keeps what passes through its proxies, by fuzz target.
type recorder struct {
	mu   sync.Mutex
	seen map[string]map[string][]byte // target, hash
}

// targets of requests and responses, by method.
var targets = map[string][2]string{
	"/thanos.Store/Series":      {"FuzzDecodeSeriesRequest", "FuzzDecodeResponse"},
	"/thanos.Store/LabelNames":  {"FuzzDecodeLabelNamesRequest", "FuzzDecodeStrings"},
	"/thanos.Store/LabelValues": {"FuzzDecodeLabelValuesRequest", "FuzzDecodeStrings"},
	"/thanos.info.Info/Info":    {"", "FuzzDecodeInfo"},
}

// Messages that are larger, or more than that for one target, are no use to a
// fuzzer.
const (
	maxRecorded     = 24
	maxRecordedSize = 4 << 10
)

func (r *recorder) add(target string, b []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if target == "" || len(b) > maxRecordedSize || len(r.seen[target]) >= maxRecorded {
		return
	}
	if r.seen[target] == nil {
		r.seen[target] = map[string][]byte{}
	}
	r.seen[target][fmt.Sprintf("%x", sha256.Sum256(b))[:16]] = b
}

// recorded is how many messages are kept for a target.
func (r *recorder) recorded(target string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen[target])
}

func (r *recorder) write(t *testing.T, dir string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	for target, frames := range r.seen {
		if err := os.MkdirAll(filepath.Join(dir, target), 0o755); err != nil {
			t.Fatal(err)
		}
		for hash, b := range frames {
			text := fmt.Sprintf("go test fuzz v1\n[]byte(%q)\n", b)
			if err := os.WriteFile(filepath.Join(dir, target, "thanos-"+hash), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// proxy serves what addr serves, and returns its own address.
func (r *recorder) proxy(t *testing.T, addr string) string {
	t.Helper()
	cc, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{}), grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, in grpc.ServerStream) error {
		return r.forward(cc, in)
	}))
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() {
		srv.Stop()
		if err := errors.Join(<-served, cc.Close()); err != nil {
			t.Error(err)
		}
	})
	return l.Addr().String()
}

// forward passes one call on: one request, any number of responses.
func (r *recorder) forward(cc *grpc.ClientConn, in grpc.ServerStream) error {
	method, _ := grpc.MethodFromServerStream(in)
	target, ok := targets[method]
	if !ok {
		return status.Errorf(codes.Unimplemented, "%s is not recorded", method)
	}
	var req []byte
	if err := in.RecvMsg(&req); err != nil {
		return err
	}
	r.add(target[0], req)
	ctx, cancel := context.WithTimeout(in.Context(), time.Minute)
	defer cancel()
	out, err := cc.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, method)
	if err != nil {
		return err
	}
	if err := errors.Join(out.SendMsg(&req), out.CloseSend()); err != nil {
		return err
	}
	for {
		var resp []byte
		if err := out.RecvMsg(&resp); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		r.add(target[1], resp)
		if err := in.SendMsg(&resp); err != nil {
			return err
		}
	}
}

// rawCodec passes messages through as bytes.
type rawCodec struct{}

func (rawCodec) Name() string { return "proto" }

func (rawCodec) Marshal(v any) (mem.BufferSlice, error) {
	return mem.BufferSlice{mem.SliceBuffer(*v.(*[]byte))}, nil
}

func (rawCodec) Unmarshal(data mem.BufferSlice, v any) error {
	*v.(*[]byte) = data.Materialize()
	return nil
}
