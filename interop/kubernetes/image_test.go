package kubernetes_test

import (
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/efficientgo/core/testutil"
)

// instruction is a line of a Dockerfile, with those that continue it.
type instruction struct{ name, args string }

// dockerfile returns the instructions of the Dockerfile.
func dockerfile() ([]instruction, error) {
	text, err := os.ReadFile(filepath.Join(source, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	var kept []string
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "#") {
			kept = append(kept, line)
		}
	}
	var out []instruction
	for line := range strings.Lines(strings.ReplaceAll(strings.Join(kept, ""), "\\\n", "")) {
		if name, args, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			out = append(out, instruction{name, strings.Join(strings.Fields(args), " ")})
		}
	}
	return out, nil
}

// argsOf returns the arguments of the instructions of a name.
func argsOf(of []instruction, name string) []string {
	var out []string
	for _, i := range of {
		if i.name == name {
			out = append(out, i.args)
		}
	}
	return out
}

// programs builds what the image has, by the Dockerfile's own command, and returns
// the directory of it.
func programs(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(shared.dir, "bin")
	shared.programs.Do(func() {
		in, err := dockerfile()
		testutil.Ok(t, err)
		runs := argsOf(in, "RUN")
		at := slices.IndexFunc(runs, func(r string) bool { return strings.Contains(r, "go build") })
		testutil.Assert(t, at >= 0 && strings.Count(runs[at], " -o /out/ ") == 1, "no go build -o /out/ in %q", runs)
		command := exec.Command("sh", "-ec", strings.Replace(runs[at], " /out/ ", " "+dir+"/ ", 1))
		command.Dir = buildContext(t)
		out, err := command.CombinedOutput()
		testutil.Ok(t, err, string(out))
	})
	return dir
}

// buildContext returns a copy of the repository with what is in it for docker: all
// but what Dockerfile.dockerignore names.
func buildContext(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(source, "Dockerfile.dockerignore"))
	testutil.Ok(t, err)
	var patterns []string
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "#") {
			patterns = append(patterns, line)
		}
	}
	to, root := filepath.Join(shared.dir, "context"), os.DirFS("../..")
	testutil.Ok(t, fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.ContainsFunc(patterns, func(p string) bool { return ignored(p, name) }) {
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o700)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		content, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), content, 0o600)
	}))
	return to
}

// ignored reports whether a pattern is that of a file: of its path, or of its name
// anywhere after "**/". There are no others here.
func ignored(pattern, name string) bool {
	if base, anywhere := strings.CutPrefix(pattern, "**/"); anywhere {
		ok, err := path.Match(base, path.Base(name))
		return ok && err == nil
	}
	return pattern == name
}

// TestImage: programs that need nothing of an image, for every command of the
// manifests, run by the user that these name.
func TestImage(t *testing.T) {
	t.Parallel()
	in, err := dockerfile()
	testutil.Ok(t, err)
	testutil.Equals(t, []string{"golang:1.26 AS build", "gcr.io/distroless/static-debian12:nonroot"}, argsOf(in, "FROM"))
	testutil.Assert(t, slices.Contains(argsOf(in, "COPY"), "--from=build /out/ /usr/local/bin/")) // in the image's PATH
	user := argsOf(in, "USER")
	dir := programs(t)
	entries, err := os.ReadDir(dir)
	testutil.Ok(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
		checkStatic(t, filepath.Join(dir, e.Name()))
	}
	var used []string
	for _, name := range directories {
		c, err := build(filepath.Join(prepared(t), name))
		testutil.Ok(t, err)
		for _, w := range c.workloads {
			s := w.pod.Spec.SecurityContext
			testutil.Equals(t, []string{fmt.Sprintf("%d:%d", *s.RunAsUser, *s.RunAsGroup)}, user, w.name)
			for _, container := range w.pod.Spec.Containers {
				if container.Image == ourImage {
					testutil.Equals(t, 1, len(container.Command), container.Name)
					used = append(used, path.Base(container.Command[0]))
				}
			}
		}
	}
	for _, name := range used {
		testutil.Assert(t, slices.Contains(names, name), "%s is not in the image, which has %q", name, names)
	}
	testutil.Assert(t, len(used) >= 9, "%q", used)
}

// checkStatic reports what a program needs of where it runs.
func checkStatic(t *testing.T, file string) {
	t.Helper()
	f, err := elf.Open(file)
	testutil.Ok(t, err)
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	testutil.Ok(t, err)
	testutil.Equals(t, 0, len(libraries), "%s needs %q", file, libraries)
	for _, p := range f.Progs {
		testutil.Assert(t, p.Type != elf.PT_INTERP, "%s needs a dynamic linker", file)
	}
}
