package interop

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"

	"github.com/thanos-io/thanos/pkg/store/storepb"
)

// replayDir is the environment variable that makes the test binary a process of
// servers, one for each file in that directory.
const replayDir = "THANOSKIT_REPLAY_DIR"

// replayServers answer each Series call with the messages of one of the answers,
// which are encoded beforehand, so that whoever asks gets the very same frames.
// They run in a process of their own: what it costs to send is nothing that the
// one who asks could save. It returns their addresses.
func replayServers(t testing.TB, answers [][]*storepb.SeriesResponse) []string {
	t.Helper()
	dir := t.TempDir()
	for i, responses := range answers {
		var out []byte
		for _, r := range responses {
			b, err := r.Marshal()
			testutil.Ok(t, err)
			out = append(binary.AppendUvarint(out, uint64(len(b))), b...)
		}
		testutil.Ok(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d", i)), out, 0o600))
	}
	self, err := os.Executable()
	testutil.Ok(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), replayDir+"="+dir)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	testutil.Ok(t, err)
	stdout, err := cmd.StdoutPipe()
	testutil.Ok(t, err)
	testutil.Ok(t, cmd.Start())
	t.Cleanup(func() {
		testutil.Ok(t, stdin.Close()) // which ends it
		testutil.Ok(t, cmd.Wait())
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	testutil.Ok(t, err)
	return strings.Fields(line)
}

// replay serves the files of a directory until standard input ends.
func replay(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	addrs := make([]string, 0, len(files))
	for _, f := range files {
		content, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return err
		}
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		addrs = append(addrs, l.Addr().String())
		srv := replayServer(framesIn(content))
		defer srv.Stop()
		go func() {
			if err := srv.Serve(l); err != nil {
				log.Printf("serve frames: %v", err)
			}
		}()
	}
	fmt.Println(strings.Join(addrs, " "))
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func framesIn(content []byte) (frames [][]byte) {
	for len(content) > 0 {
		n, size := binary.Uvarint(content)
		frames, content = append(frames, content[size:size+int(n)]), content[size+int(n):]
	}
	return frames
}

// replayServer answers every Series call with the frames.
func replayServer(frames [][]byte) *grpc.Server {
	srv := grpc.NewServer(grpc.ForceServerCodecV2(replayCodec{}), grpc.MaxSendMsgSize(math.MaxInt32))
	srv.RegisterService(&grpc.ServiceDesc{
		ServiceName: "thanos.Store",
		HandlerType: (*any)(nil),
		Streams: []grpc.StreamDesc{{
			StreamName:    "Series",
			ServerStreams: true,
			Handler: func(_ any, stream grpc.ServerStream) error {
				if err := stream.RecvMsg(nil); err != nil {
					return err
				}
				for _, f := range frames {
					if err := stream.SendMsg(f); err != nil {
						return err
					}
				}
				return nil
			},
		}},
	}, nil)
	return srv
}

// replayCodec sends bytes as they are, and drops what it receives.
type replayCodec struct{}

func (replayCodec) Name() string { return "proto" }

func (replayCodec) Marshal(v any) (mem.BufferSlice, error) {
	b, ok := v.([]byte)
	if !ok {
		return nil, errors.New("only frames are sent")
	}
	return mem.BufferSlice{mem.SliceBuffer(b)}, nil
}

func (replayCodec) Unmarshal(mem.BufferSlice, any) error { return nil }
