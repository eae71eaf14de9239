package conformance

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/store/storetest"
)

// result is what the kit said of one check in one component.
type result struct {
	status string
	reason string
}

// TestComponents runs the kit over all components, and compares with what is
// known of them, in both directions.
func TestComponents(t *testing.T) {
	log := runKit(t)
	got := parseKit(log)
	for _, c := range components() {
		results := got[c.name]
		if r, ok := results[program]; c.program && (!ok || r.status != passes) {
			t.Errorf("%s: storecheck: %s", c.name, r.reason)
		}
		for _, d := range storetest.Checks() {
			r, ok := results[d.Name]
			if !ok {
				t.Errorf("%s %s: not made; the kit said:\n%s", c.name, d.Name, tail(log, 40))
				return
			}
			if want, says := expected(c.name, d.Name); r.status != want || !strings.Contains(r.reason, says) {
				t.Errorf("%s %s: %s %.1000s\nwant %s %s", c.name, d.Name, r.status, r.reason, want, says)
			}
		}
	}
}

// expected returns the result of a check in a component, and what its reason
// says.
func expected(component, check string) (status, says string) {
	for _, e := range expectations {
		if e.check == check && slices.Contains(e.components, component) {
			return e.result, e.says
		}
	}
	return passes, ""
}

// runKit runs TestKit in a process of its own, which may take as long as this one
// still may, and returns what it printed.
func runKit(t *testing.T) []byte {
	t.Helper()
	self, err := os.Executable()
	testutil.Ok(t, err)
	timeout := time.Duration(0) // none
	if end, ok := t.Deadline(); ok {
		timeout = max(time.Until(end)-10*time.Second, time.Second) // to say what it was at
	}
	cmd := exec.CommandContext(t.Context(), self, "-kit", "-test.v", "-test.timeout="+timeout.String(), "-test.run=^TestKit$/./^(direct|wire|program)$")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	log, err := cmd.CombinedOutput()
	if _, failed := errors.AsType[*exec.ExitError](err); err != nil && !failed {
		t.Fatalf("run the kit: %v", err)
	}
	return log
}

// parseKit reads the output of TestKit: what came of each check, by component.
// The reason follows the line that says that the check runs, and the result comes
// when all have run.
func parseKit(log []byte) map[string]map[string]result {
	reasons := map[string]string{}
	out := map[string]map[string]result{}
	running := ""
	for lines := bufio.NewScanner(bytes.NewReader(log)); lines.Scan(); {
		line := lines.Text()
		if name, ok := strings.CutPrefix(line, "=== RUN   "); ok {
			running = name
			continue
		}
		trimmed := strings.TrimSpace(line)
		rest, ok := strings.CutPrefix(trimmed, "--- ")
		if !ok {
			if _, reason, ok := strings.Cut(trimmed, ".go:"); ok && running != "" {
				_, reason, _ = strings.Cut(reason, ": ")
				reasons[running] += reason
			}
			continue
		}
		running = ""
		fields := strings.Fields(rest) // FAIL: TestKit/COMPONENT/direct/CHECK (0.00s)
		path := strings.Split(fields[1], "/")
		if len(path) != 4 {
			continue
		}
		component, check := path[1], path[3]
		if out[component] == nil {
			out[component] = map[string]result{}
		}
		status := map[string]string{"PASS:": passes, "FAIL:": fails, "SKIP:": skipped}[fields[0]]
		out[component][check] = result{status, reasons[fields[1]]}
	}
	return out
}

func tail(log []byte, lines int) string {
	all := strings.Split(strings.TrimSpace(string(log)), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

func TestParseKit(t *testing.T) {
	testutil.Equals(t, map[string]map[string]result{
		"a": {"x": {passes, ""}, "y": {fails, "what is: wrong"}, "w": {passes, ""}},
		"b": {"x": {skipped, "why"}},
	}, parseKit([]byte(`=== RUN   TestKit
=== RUN   TestKit/a
=== RUN   TestKit/a/direct
=== RUN   TestKit/a/direct/x
=== RUN   TestKit/a/direct/y
    run.go:122: what is: wrong
=== RUN   TestKit/a/wire
=== RUN   TestKit/a/wire/w
=== RUN   TestKit/b
=== RUN   TestKit/b/direct
=== RUN   TestKit/b/direct/x
    run.go:124: why
--- FAIL: TestKit (60.92s)
    --- FAIL: TestKit/a (18.59s)
        --- FAIL: TestKit/a/direct (18.49s)
            --- PASS: TestKit/a/direct/x (0.00s)
            --- FAIL: TestKit/a/direct/y (0.00s)
        --- PASS: TestKit/a/wire (18.49s)
            --- PASS: TestKit/a/wire/w (0.00s)
    --- PASS: TestKit/b (3.24s)
        --- PASS: TestKit/b/direct (3.24s)
            --- SKIP: TestKit/b/direct/x (0.01s)
FAIL
`)))
}
