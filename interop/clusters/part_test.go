package clusters

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

// kind is whose a part is.
type kind string

const (
	ours   kind = "ours"
	thanos kind = "thanos"
)

// role is what can be of either kind.
type role string

const (
	sidecar   role = "sidecar"
	compactor role = "compactor"
	gateway   role = "gateway"
	querier   role = "querier" // of an observee
	top       role = "top"
)

var roles = []role{sidecar, compactor, gateway, querier, top}

// names of programs: examples of ours, commands of Thanos.
var (
	exampleOf = map[role]string{sidecar: "sidecar", compactor: "compactor", gateway: "storegateway", querier: "querier", top: "querier"}
	commandOf = map[role]string{sidecar: "sidecar", compactor: "compact", gateway: "store", querier: "query", top: "query"}
)

// command returns the program that fills a role, and its arguments.
func command(t testing.TB, r role, k kind, args []string) (path string, all []string) {
	t.Helper()
	if k == thanos {
		return proc.Binary(t, "thanos"), append([]string{commandOf[r]}, args...)
	}
	return examples.Binary(t, exampleOf[r]), args
}

// part is a process of the topology, which can be another's in its place: at the
// same addresses, over the same directories.
type part struct {
	name       string // sidecar-eu-a
	role       role   // empty if there is one kind only
	cluster    string
	path       string // of a program that has no role
	args       []string
	grpc, http string // addresses
	ready      func(context.Context) error

	kind kind
	*proc.Process
}

// run starts a part without waiting for it.
func (w *world) run(p *part) {
	w.Helper()
	path, args := p.path, p.args
	if p.role != "" {
		path, args = command(w, p.role, p.kind, p.args)
	}
	p.Process = proc.Run(w, p.name, w.logOf(p.name), path, args...)
}

func (w *world) logOf(name string) string { return filepath.Join(w.dir, name+".log") }

// awaitReady waits until a part that runs says that it is ready.
func (w *world) awaitReady(p *part) {
	w.Helper()
	if p.ready != nil {
		proc.Await(w, p.name, p.Process, proc.Patience, p.ready)
		return
	}
	proc.Await(w, p.name, p.Process, proc.Patience, func(ctx context.Context) error {
		_, err := proc.Get(ctx, "http://"+p.http+"/-/ready")
		return err
	})
}

// add starts a part, and makes it one of the topology.
func (w *world) add(p *part) {
	w.Helper()
	w.run(p)
	w.parts = append(w.parts, p)
}

// server is a part that fills a role and serves gRPC and HTTP.
func (w *world) server(r role, cluster, name string, k kind, args ...string) *part {
	p := &part{name: name, role: r, cluster: cluster, kind: k, grpc: proc.FreeAddr(w), http: proc.FreeAddr(w)}
	p.args = append(args, "--grpc-address="+p.grpc, "--http-address="+p.http, "--grpc-grace-period=1s")
	return p
}

// part returns that of a name.
func (w *world) part(name string) *part {
	for _, p := range w.parts {
		if p.name == name {
			return p
		}
	}
	w.Fatalf("no part is named %s", name)
	return nil
}

// stop ends parts, kindly and all at once.
func stop(parts []*part) {
	var all sync.WaitGroup
	for _, p := range parts {
		all.Go(p.Stop)
	}
	all.Wait()
}

// showLogs shows what parts said last of what is not well, if the test failed.
func (w *world) showLogs() {
	if !w.Failed() {
		return
	}
	for _, p := range w.parts {
		lines := slices.DeleteFunc(strings.Split(p.Tail(500), "\n"), func(line string) bool {
			return line == "" || strings.Contains(line, "level=info") || strings.Contains(line, "level=INFO")
		})
		if len(lines) > 0 {
			w.Logf("%s (%s) says last:\n%s", p.name, p.kind, strings.Join(lines[max(0, len(lines)-10):], "\n"))
		}
	}
}

// swap has each part be of the kind that a position says: those that change are
// stopped together, and started together. It returns their names.
func (w *world) swap(pos position) (changed []string) {
	w.Helper()
	var parts []*part
	for _, p := range w.parts {
		if p.role != "" && p.kind != pos.kind(p.role, p.name) {
			parts = append(parts, p)
			changed = append(changed, p.name)
		}
	}
	stop(parts)
	for _, p := range parts {
		p.kind = pos.kind(p.role, p.name)
		if p.role == sidecar {
			w.addParcel(p)
		}
		w.run(p)
	}
	for _, p := range parts {
		w.awaitReady(p)
	}
	return changed
}

// position says of which kind each part is.
type position struct {
	name string
	kind func(role, string) kind
}

func allOf(k kind) position {
	return position{"all " + string(k), func(role, string) kind { return k }}
}

// mixed are positions in which parts of one role are of both kinds, where there are
// several: those of one kind are of the other in the second.
func mixed() []position {
	oursOf := map[string]bool{
		"sidecar-hub-a": true, "sidecar-eu-b": true, "sidecar-us-a": true,
		"compactor-hub": true, "compactor-us": true, "gateway-eu": true, "querier-us": true, "top": true,
	}
	return []position{
		{"mixed", func(_ role, name string) kind { return map[bool]kind{true: ours, false: thanos}[oursOf[name]] }},
		{"mixed, the other way round", func(_ role, name string) kind { return map[bool]kind{false: ours, true: thanos}[oursOf[name]] }},
	}
}

// positions are those that the flag asks for. The first is all of Thanos, by whose
// answers the others go.
func positions() []position {
	if *swap != "all" {
		return []position{allOf(thanos), allOf(ours), mixed()[0]}
	}
	var out []position
	for i := range 1 << len(roles) {
		gray := i ^ i>>1 // One role changes at a time.
		pos := position{name: fmt.Sprintf("position %d, ours:", i)}
		of := map[role]kind{}
		for j, r := range roles {
			of[r] = thanos
			if gray>>j&1 == 1 {
				of[r] = ours
				pos.name += " " + string(r)
			}
		}
		pos.kind = func(r role, _ string) kind { return of[r] }
		out = append(out, pos)
	}
	return append(out, mixed()...)
}
