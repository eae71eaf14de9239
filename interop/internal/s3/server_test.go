package s3_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"github.com/go-kit/log"
	"github.com/thanos-io/objstore"
	"github.com/thanos-io/objstore/client"
	"go.uber.org/goleak"

	"github.com/thanoskit/thanoskit/interop/internal/s3"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// Two clients of clouds start these when they are linked.
		goleak.IgnoreTopFunction("github.com/baidubce/bce-sdk-go/util/log.NewLogger.func1"),
		goleak.IgnoreTopFunction("go.opencensus.io/stats/view.(*worker).start"),
		// Connections that are kept for the next request.
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
	)
}

func open(t *testing.T, yaml string) objstore.Bucket {
	t.Helper()
	bkt, err := client.NewBucket(log.NewNopLogger(), []byte(yaml), "test", nil)
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, bkt.Close()) })
	return bkt
}

func TestServer(t *testing.T) {
	srv := s3.Start(t)
	bkt := open(t, srv.Config(""))
	ctx := t.Context()
	testutil.Ok(t, bkt.Upload(ctx, "a/b", strings.NewReader("0123456789")))
	rc, err := bkt.GetRange(ctx, "a/b", 2, 3)
	testutil.Ok(t, err)
	data, err := io.ReadAll(rc)
	testutil.Ok(t, err)
	testutil.Ok(t, rc.Close())
	testutil.Equals(t, "234", string(data))
	_, err = bkt.Get(ctx, "none")
	testutil.Assert(t, bkt.IsObjNotFoundErr(err), "error: %v", err)

	below := open(t, srv.Config("a"))
	ok, err := below.Exists(ctx, "b")
	testutil.Ok(t, err)
	testutil.Assert(t, ok)

	// Files are objects.
	testutil.Ok(t, os.WriteFile(filepath.Join(srv.Dir, "f"), []byte("x"), 0o600))
	attrs, err := bkt.Attributes(ctx, "f")
	testutil.Ok(t, err)
	testutil.Equals(t, int64(1), attrs.Size)

	wrong := open(t, srv.WrongConfig())
	_, err = wrong.Get(ctx, "a/b")
	testutil.Assert(t, wrong.IsAccessDeniedErr(err) || strings.Contains(err.Error(), "signature"), "error: %v", err)
}
