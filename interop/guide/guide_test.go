package guide_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/efficientgo/core/testutil"

	"github.com/thanoskit/thanoskit/interop/internal/proc"
)

const root = "../.."

// command is a piece of shell in the guide, and what it prints: nothing is said if
// want is empty.
type command struct{ text, want string }

var blocks = regexp.MustCompile("(?ms)^```(sh|text)\n(.*?)^```$")

// commands returns those of a page.
func commands(page string) ([]command, error) {
	var out []command
	for _, m := range blocks.FindAllStringSubmatch(page, -1) {
		if m[1] == "sh" {
			out = append(out, command{text: m[2]})
			continue
		}
		if len(out) == 0 || out[len(out)-1].want != "" {
			return nil, fmt.Errorf("text of no command: %s", m[2])
		}
		out[len(out)-1].want = m[2]
	}
	return out, nil
}

// pattern is what a text stands for, in which "..." is anything. An end of line is
// any space, and none: answers over HTTP do not end with one.
func pattern(want string) *regexp.Regexp {
	parts := strings.Split(strings.TrimSpace(want), "...")
	for i := range parts {
		parts[i] = strings.ReplaceAll(regexp.QuoteMeta(parts[i]), "\n", `\s*`)
	}
	return regexp.MustCompile(`(?s)^\s*` + strings.Join(parts, ".*") + `\s*$`)
}

var ports = regexp.MustCompile(`localhost:(\d+)`)

// script is the commands as one, each of which writes to a file of its own.
func script(dir string, of []command) string {
	var b strings.Builder
	b.WriteString("set -eu\n")
	for i, c := range of {
		fmt.Fprintf(&b, "exec >%s\n%s\n", output(dir, i), c.text)
	}
	return b.String()
}

func output(dir string, i int) string { return filepath.Join(dir, fmt.Sprintf("output-%d", i)) }

// TestGuide runs the page. The first command, which builds the programs, is run in
// the repository, and the others in a directory of their own.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs/guide.md"))
	testutil.Ok(t, err)
	text := ports.ReplaceAllStringFunc(string(page), freeAddrs(t))
	all, err := commands(text)
	testutil.Ok(t, err)
	testutil.Assert(t, len(all) > 15, "%d commands", len(all))
	dir := t.TempDir()
	prepare(t, dir, all[0].text)
	if err := run(t.Context(), dir, script(dir, all[1:])); err != nil {
		t.Fatal(err) // whole, with all logs
	}
	for i, c := range all[1:] {
		got, err := os.ReadFile(output(dir, i))
		testutil.Ok(t, err)
		if c.want != "" && !pattern(c.want).Match(got) {
			t.Errorf("%s\nprints:\n%s\nwant:\n%s", c.text, got, c.want)
		}
	}
}

// freeAddrs returns a free address in place of each of the guide's.
func freeAddrs(t *testing.T) func(string) string {
	free := map[string]string{}
	return func(addr string) string {
		if free[addr] == "" {
			free[addr] = proc.FreeAddr(t)
		}
		return free[addr]
	}
}

// prepare makes what the guide asks to have: the programs in bin, and the
// repository's files.
func prepare(t *testing.T, dir, build string) {
	t.Helper()
	testutil.Equals(t, 1, strings.Count(build, "go build -o bin/ "), build)
	cmd := exec.Command("sh", "-ec", strings.Replace(build, "-o bin/ ", "-o "+filepath.Join(dir, "bin")+"/ ", 1))
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	testutil.Ok(t, err, string(out))
	testutil.Ok(t, os.MkdirAll(filepath.Join(dir, "examples/kubernetes"), 0o700))
	certificates, err := os.ReadFile(filepath.Join(root, "examples/kubernetes/certificates.sh"))
	testutil.Ok(t, err)
	testutil.Ok(t, os.WriteFile(filepath.Join(dir, "examples/kubernetes/certificates.sh"), certificates, 0o600))
	testutil.Ok(t, os.Mkdir(filepath.Join(dir, "path"), 0o700))
	for _, name := range []string{"prometheus", "promtool"} {
		testutil.Ok(t, os.Symlink(proc.Binary(t, name), filepath.Join(dir, "path", name)))
	}
}

// run runs a script in a directory, and ends all that it has started. An error has
// what there is in logs.
func run(ctx context.Context, dir, text string) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", text)
	cmd.Dir = dir
	// Debian has nginx in sbin, where not everybody looks.
	cmd.Env = append(os.Environ(), "PATH="+filepath.Join(dir, "path")+":"+os.Getenv("PATH")+":/usr/sbin")
	errs, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		return err
	}
	cmd.Stderr = errs
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err = errors.Join(cmd.Run(), errs.Close())
	if cmd.Process == nil {
		return err
	}
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // What runs in the background; none may be left.
	if err == nil {
		return nil
	}
	for _, pattern := range []string{"*.log", "output-*", "stderr"} {
		files, _ := filepath.Glob(filepath.Join(dir, pattern)) // the pattern is right
		for _, file := range files {
			said, _ := os.ReadFile(file) // what cannot be read says nothing
			err = fmt.Errorf("%w\n%s:\n%s", err, filepath.Base(file), said[max(0, len(said)-2000):])
		}
	}
	return err
}

// TestRun: a command that fails ends the page, and nothing is left running.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	err := run(t.Context(), dir, script(dir, []command{
		{text: "sleep 600 & echo $! >pid\n"},
		{text: "echo before\nls no-such-file\necho after\n"},
	}))
	testutil.Assert(t, err != nil && strings.Contains(err.Error(), "no-such-file") && strings.Contains(err.Error(), "before") && !strings.Contains(err.Error(), "after"), "error: %v", err)
	pid, err := os.ReadFile(filepath.Join(dir, "pid"))
	testutil.Ok(t, err)
	proc.Await(t, "end of what was started", nil, proc.Patience, func(context.Context) error {
		state, err := os.ReadFile("/proc/" + strings.TrimSpace(string(pid)) + "/stat")
		if errors.Is(err, os.ErrNotExist) || err == nil && strings.Contains(string(state), ") Z ") {
			return nil
		}
		return errors.Join(errors.New("it runs"), err)
	})
}

// TestPattern: what the page says of outputs can be wrong.
func TestPattern(t *testing.T) {
	for _, tc := range []struct {
		want, got string
		ok        bool
	}{
		{"a...d\n", "a b c d\n", true},
		{"a...d\n", "a b c\n", false},
		{"...b...", "a b c", true},
		{"24\n", "24\n", true},
		{"24\n", "240\n", false},
		{"a\n...\nb\n", "a\n\nb\n", true},
		{"a.b", "axb", false},
		{"{1}\n{2}\n", "{1}{2}", true},
	} {
		testutil.Equals(t, tc.ok, pattern(tc.want).MatchString(tc.got), "%q %q", tc.want, tc.got)
	}
	_, err := commands("```text\nx\n```\n")
	testutil.NotOk(t, err)
}
