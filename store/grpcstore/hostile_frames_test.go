package grpcstore_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// attacker speaks HTTP/2 by hand, over TLS with a good certificate.
type attacker struct {
	*http2.Framer
	conn *tls.Conn
	hpack.Encoder
	block bytes.Buffer
}

func (f *fortress) attacker(t *testing.T) *attacker {
	t.Helper()
	conn, err := tls.Dial("tcp", f.addr, f.config())
	testutil.Ok(t, err)
	t.Cleanup(func() { conn.Close() })
	testutil.Ok(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	_, err = io.WriteString(conn, http2.ClientPreface)
	testutil.Ok(t, err)
	a := &attacker{Framer: http2.NewFramer(conn, conn), conn: conn}
	a.AllowIllegalWrites = true
	a.Encoder = *hpack.NewEncoder(&a.block)
	testutil.Ok(t, a.WriteSettings())
	return a
}

// raw writes a frame whose header need not be true.
func (a *attacker) raw(length int, kind http2.FrameType, flags http2.Flags, stream uint32, payload ...byte) {
	head := []byte{byte(length >> 16), byte(length >> 8), byte(length), byte(kind), byte(flags)}
	a.conn.Write(append(binary.BigEndian.AppendUint32(head, stream), payload...))
}

// call opens a stream for a Series call, with further headers.
func (a *attacker) call(stream uint32, extra ...hpack.HeaderField) {
	a.open(stream, "application/grpc", extra...)
}

func (a *attacker) open(stream uint32, contentType string, extra ...hpack.HeaderField) {
	a.block.Reset()
	for _, h := range append([]hpack.HeaderField{
		{Name: ":method", Value: "POST"},
		{Name: ":scheme", Value: "https"},
		{Name: ":path", Value: "/thanos.Store/Series"},
		{Name: ":authority", Value: "store"},
		{Name: "te", Value: "trailers"},
		{Name: "content-type", Value: contentType},
	}, extra...) {
		a.WriteField(h)
	}
	a.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: a.block.Bytes(), EndHeaders: true})
}

// message sends a message on a stream, and that it is the last.
func (a *attacker) message(stream uint32, head [5]byte, body ...byte) {
	a.WriteData(stream, true, append(head[:], body...))
}

// survived reports whether the server still listens: it answers a ping.
func (a *attacker) survived(t *testing.T) bool {
	t.Helper()
	mark := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	a.WritePing(false, mark)
	for {
		frame, err := a.ReadFrame()
		if err != nil {
			testutil.Assert(t, !isTimeout(err), "the server neither answers nor ends the connection")
			return false
		}
		if ping, ok := frame.(*http2.PingFrame); ok && ping.IsAck() && ping.Data == mark {
			return true
		}
	}
}

// Frames that are no HTTP/2, and messages that are no gRPC, are not served: the
// connection ends or goes on without them.
func TestHostileFrames(t *testing.T) {
	t.Parallel()
	f := newFortress(t, patient)
	for name, tc := range map[string]struct {
		attack  func(a *attacker)
		survive bool
	}{
		"nothing":                {func(*attacker) {}, true},
		"frame beyond measure":   {func(a *attacker) { a.raw(1<<24-1, http2.FrameData, 0, 1, make([]byte, 32<<10)...) }, false},
		"headers beyond measure": {func(a *attacker) { a.raw(1<<24-1, http2.FrameHeaders, 0, 1, make([]byte, 32<<10)...) }, false},
		"headers of no stream":   {func(a *attacker) { a.raw(1, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 0, 0x82) }, false},
		"stream of a server":     {func(a *attacker) { a.call(2) }, false},
		"streams backwards": {func(a *attacker) {
			a.call(5)
			a.call(3)
		}, false},
		"headers that are noise": {func(a *attacker) {
			a.raw(8, http2.FrameHeaders, http2.FlagHeadersEndHeaders, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
		}, false},
		"headers without end": {func(a *attacker) {
			a.raw(1, http2.FrameHeaders, 0, 1, 0x82)
			a.WritePing(false, [8]byte{})
		}, false},
		"continuation of nothing": {func(a *attacker) { a.raw(1, http2.FrameContinuation, 0, 1, 0x82) }, false},
		"continuations without end": {func(a *attacker) {
			a.raw(1, http2.FrameHeaders, 0, 1, 0x83)                                                      // POST
			field := append([]byte{0, 1, 'x', 0x7f, 0x80, 0x3f}, bytes.Repeat([]byte{'a'}, 127+63<<7)...) // "x" and almost 8 KiB
			for range 8 << 10 {
				if a.WriteContinuation(1, false, field) != nil {
					return
				}
			}
		}, false},
		"padding beyond measure": {func(a *attacker) { a.raw(2, http2.FrameData, http2.FlagDataPadded, 1, 0xff, 0) }, false},
		"settings that are cut":  {func(a *attacker) { a.raw(5, http2.FrameSettings, 0, 0, 0, 4, 0, 0, 0) }, false},
		"settings of a stream":   {func(a *attacker) { a.raw(0, http2.FrameSettings, 0, 1) }, false},
		"window beyond measure": {func(a *attacker) {
			a.raw(6, http2.FrameSettings, 0, 0, 0, 4, 0xff, 0xff, 0xff, 0xff)
		}, false},
		"window of nothing": {func(a *attacker) { a.raw(4, http2.FrameWindowUpdate, 0, 0, 0, 0, 0, 0) }, false},
		"ping that is cut":  {func(a *attacker) { a.raw(3, http2.FramePing, 0, 0, 1, 2, 3) }, false},
		"push of a client": {func(a *attacker) {
			a.raw(5, http2.FramePushPromise, http2.FlagPushPromiseEndHeaders, 1, 0, 0, 0, 2, 0x82)
		}, true},
		"frame of no kind":  {func(a *attacker) { a.raw(4, 0xee, 0xff, 1, 1, 2, 3, 4) }, true},
		"data of no stream": {func(a *attacker) { a.message(7, [5]byte{0, 0, 0, 0, 0}) }, true},
		"pings without end": {func(a *attacker) {
			for range 100 {
				a.WritePing(false, [8]byte{})
			}
		}, false},
		"message that never comes": {func(a *attacker) {
			a.call(1)
			a.WriteData(1, false, []byte{0, 0x7f, 0xff, 0xff, 0xff, 1})
		}, true},
		"message that is cut": {func(a *attacker) {
			a.call(1)
			a.message(1, [5]byte{0, 0, 0, 0, 9}, 1)
		}, true},
		"message beyond measure": {func(a *attacker) {
			a.call(1)
			a.message(1, [5]byte{0, 0xff, 0xff, 0xff, 0xff}, 1)
		}, true},
		"message that is noise": {func(a *attacker) {
			a.call(1)
			a.message(1, [5]byte{0, 0, 0, 0, 3}, 0xff, 0xff, 0xff)
		}, true},
		"matcher that is noise": {func(a *attacker) {
			a.call(1)
			a.message(1, [5]byte{0, 0, 0, 0, 7}, 0x1a, 5, 0x08, 2, 0x1a, 1, '(') // a regular expression
		}, true},
		"compressed by nothing": {func(a *attacker) {
			a.call(1)
			a.message(1, [5]byte{1, 0, 0, 0, 1}, 0)
		}, true},
		"compressed by nobody": {func(a *attacker) {
			a.call(1, hpack.HeaderField{Name: "grpc-encoding", Value: "nobody"})
			a.message(1, [5]byte{1, 0, 0, 0, 1}, 0)
		}, true},
		"not gRPC": {func(a *attacker) {
			a.open(1, "text/html")
			a.message(1, [5]byte{})
		}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := f.attacker(t)
			tc.attack(a)
			testutil.Equals(t, tc.survive, a.survived(t))
			f.stands(t)
		})
	}
}
