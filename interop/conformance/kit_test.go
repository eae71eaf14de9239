package conformance

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/thanoskit/thanoskit/store"
	"github.com/thanoskit/thanoskit/store/grpcstore"
	"github.com/thanoskit/thanoskit/store/storetest"
)

// component is a kind of Store to check.
type component struct {
	name    string
	raw     bool // has no downsampled data
	program bool // examples/storecheck is run over it too
	start   func(*world) string
}

// program is the name of the check that the program makes of itself.
const program = "storecheck"

func components() []component {
	return []component{
		{"sidecar", true, true, (*world).sidecar},
		{"store-gateway", false, false, (*world).gateway},
		{"querier", false, false, (*world).querier},
		{"receive", true, false, (*world).receive},
		{"thanoskit-sidecar", true, false, (*world).ourSidecar},
		{"thanoskit-querier", false, true, (*world).ourQuerier},
		{"thanoskit-querier-over-all", false, false, (*world).ourQuerierOverAll},
	}
}

// TestKit runs the kit over each component, all with the same fixture:
// NAME/direct/CHECK is storetest.Run on a client of the component, and
// NAME/wire/CHECK storetest.Check of what only a connection shows. With some,
// NAME/program/storecheck is the program, as a user runs it.
func TestKit(t *testing.T) {
	worlds := map[bool]*world{} // by whether series are large
	worldOf := func(f *storetest.Fixture) *world {
		large := isLarge(f)
		if worlds[large] == nil {
			worlds[large] = newWorld(t, f)
		}
		return worlds[large]
	}
	for _, c := range components() {
		t.Run(c.name, func(t *testing.T) {
			h := storetest.Harness{New: func(t testing.TB, f *storetest.Fixture) store.Store {
				_, client := dial(t, c.start(worldOf(f)))
				return client
			}}
			if c.raw {
				h.Lacks = map[storetest.Feature]string{storetest.DownsampledData: "it has raw data only"}
			}
			storetest.Run(t, h)
			t.Run("wire", func(t *testing.T) { checkWire(t, c.start(worlds[false])) })
			if c.program {
				t.Run("program", func(t *testing.T) {
					t.Run(program, func(t *testing.T) { checkProgram(t, c.name, c.start(worlds[false])) })
				})
			}
		})
	}
}

// checkWire makes the checks that need a connection.
func checkWire(t *testing.T, addr string) {
	f, err := storetest.NewFixture(nil)
	testutil.Ok(t, err)
	conn, client := dial(t, addr)
	opts := &storetest.Options{Conn: conn, Checks: []string{"batches", "batch-sizes"}}
	opts.MinTime, opts.MaxTime = f.TimeRange()
	results, err := storetest.Check(t.Context(), client, opts)
	testutil.Ok(t, err)
	for _, r := range results {
		t.Run(r.Check, func(t *testing.T) {
			if r.Status != storetest.OK {
				t.Error(r.Reason)
			}
		})
	}
}

// checkProgram checks that examples/storecheck says of a component what is known
// of it.
func checkProgram(t *testing.T, component, addr string) {
	cmd := exec.CommandContext(t.Context(), examples.Binary(t, "storecheck"), "-fixture-check", addr)
	out, err := cmd.Output()
	status, anyFails := 0, false
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		got, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		check, _, _ := strings.Cut(rest, ":")
		want, _ := expected(component, check)
		if check == "large-messages" {
			want = skipped // there are none in the usual fixture
		}
		if got != want {
			t.Errorf("want %s of: %s", want, line)
		}
		anyFails = anyFails || got == fails
	}
	if anyFails != (status == 1) || !anyFails && status != 0 || !strings.Contains(string(out), "\nok fixture/") {
		t.Errorf("exit status %d of:\n%s", status, out)
	}
}

// dial returns a client of a component and the connection behind it.
func dial(t testing.TB, addr string) (*grpc.ClientConn, *grpcstore.Client) {
	t.Helper()
	conn, err := grpc.NewClient(addr, grpc.WithTransportCredentials(insecure.NewCredentials()))
	testutil.Ok(t, err)
	t.Cleanup(func() { testutil.Ok(t, conn.Close()) })
	client, err := grpcstore.NewClient(conn, "", nil)
	testutil.Ok(t, err)
	return conn, client
}
