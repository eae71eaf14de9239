package beside

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// examples are thanoskit's programs.
var examples proc.Examples

func TestMain(m *testing.M) { examples.Main(m) }

// The blocks in the bucket end here, in ms.
const end = 1700891940_000

// gateway starts a store gateway over the golden blocks, and returns its gRPC address.
func gateway(t testing.TB) string {
	t.Helper()
	bucket, grpcAddr, httpAddr := t.TempDir(), proc.FreeAddr(t), proc.FreeAddr(t)
	testutil.Ok(t, os.CopyFS(bucket, os.DirFS("../../block/blocktest/testdata/golden")))
	p := proc.Start(t, "storegateway", examples.Binary(t, "storegateway"), "--data-dir="+t.TempDir(),
		fmt.Sprintf("--objstore.config={type: FILESYSTEM, config: {directory: %q}}", filepath.ToSlash(bucket)),
		"--grpc-address="+grpcAddr, "--http-address="+httpAddr)
	proc.AwaitHTTP(t, p, "http://"+httpAddr+"/-/ready")
	return grpcAddr
}

// querier starts thanoskit's querier over endpoints, and returns its HTTP address.
func querier(t testing.TB, endpoints ...string) string {
	t.Helper()
	httpAddr := proc.FreeAddr(t)
	args := []string{"--grpc-address=" + proc.FreeAddr(t), "--http-address=" + httpAddr}
	for _, e := range endpoints {
		args = append(args, "--endpoint="+e)
	}
	p := proc.Start(t, "querier", examples.Binary(t, "querier"), args...)
	proc.AwaitHTTP(t, p, "http://"+httpAddr+"/-/ready")
	return httpAddr
}
