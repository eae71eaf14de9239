package archtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// modFile is what the checks need of a go.mod.
type modFile struct {
	Module  module        `json:"Module"`
	Replace []replacement `json:"Replace"`
	Exclude []module      `json:"Exclude"`
}

type replacement struct {
	Old module `json:"Old"`
	New module `json:"New"`
}

func readModFile(file string) (*modFile, error) {
	// Reading the file here, too, lets go test know that it matters.
	if _, err := os.ReadFile(file); err != nil {
		return nil, err
	}
	cmd := exec.Command("go", "mod", "edit", "-json", file)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("read %s: %w\n%s", file, err, stderr.Bytes())
	}
	m := &modFile{}
	if err := json.Unmarshal(out, m); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return m, nil
}

// checkModFile returns one line for each way in which the go.mod in dir, "." for
// the root, would not do for those who import the module.
func checkModFile(dir string, m *modFile) []string {
	var bad []string
	if want := path.Join(modulePath, dir); m.Module.Path != want {
		bad = append(bad, fmt.Sprintf("%s/go.mod is of module %s, want %s", dir, m.Module.Path, want))
	}
	if dir == "." {
		for _, r := range m.Replace {
			bad = append(bad, fmt.Sprintf("go.mod replaces %s: an importer would have to copy that", r.Old.Path))
		}
		for _, e := range m.Exclude {
			bad = append(bad, fmt.Sprintf("go.mod excludes %s: an importer would have to copy that", e.Path))
		}
		return bad
	}
	for _, r := range m.Replace {
		local := strings.HasPrefix(r.New.Path, ".") || strings.HasPrefix(r.New.Path, "/")
		rel, ours := relative(r.Old.Path)
		switch {
		case local && !ours:
			bad = append(bad, fmt.Sprintf("%s/go.mod replaces %s by a directory, which only this machine has", dir, r.Old.Path))
		case ours && path.Join(dir, r.New.Path) != rel:
			bad = append(bad, fmt.Sprintf("%s/go.mod replaces %s by %s, want its directory in this repository", dir, r.Old.Path, r.New.Path))
		}
	}
	return bad
}

func TestModFiles(t *testing.T) {
	t.Parallel()
	var found int
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && strings.HasPrefix(d.Name(), ".") && name != root {
			return filepath.SkipDir
		}
		if d.IsDir() || d.Name() != "go.mod" {
			return nil
		}
		found++
		m, err := readModFile(name)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		for _, line := range checkModFile(filepath.ToSlash(rel), m) {
			t.Error(line)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found == 0 {
		t.Fatal("no go.mod found")
	}
}

func TestModFilesCatch(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, dir, text string
		want            int
	}{
		{name: "root", dir: ".", text: "module " + modulePath},
		{name: "another path", dir: ".", text: "module example.org/fork", want: 1},
		{name: "root replaces", dir: ".", text: "module " + modulePath + "\nreplace x.org/m => x.org/n v1.0.0", want: 1},
		{name: "root excludes", dir: ".", text: "module " + modulePath + "\nexclude x.org/m v1.0.0", want: 1},
		{name: "nested", dir: "interop", text: "module " + modulePath + "/interop\nreplace " + modulePath + " => ../\nreplace x.org/m => x.org/n v1.0.0"},
		{name: "nested elsewhere", dir: "interop", text: "module " + modulePath + "/other", want: 1},
		{name: "nested on this machine", dir: "interop", text: "module " + modulePath + "/interop\nreplace x.org/m => ../../m", want: 1},
		{name: "nested on another copy", dir: "interop", text: "module " + modulePath + "/interop\nreplace " + modulePath + " => ../../", want: 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "go.mod")
			if err := os.WriteFile(file, []byte(tc.text+"\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := readModFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if bad := checkModFile(tc.dir, m); len(bad) != tc.want {
				t.Errorf("%d lines, want %d: %q", len(bad), tc.want, bad)
			}
		})
	}
}
