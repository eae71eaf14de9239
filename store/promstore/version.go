package promstore

import (
	"strconv"
	"strings"
)

// version is a version of Prometheus. One that cannot be parsed counts as new.
type version struct {
	text         string
	major, minor int
}

// parseVersion reads the first two numbers of texts like "2.42.0+ds" and
// "3.9.1".
func parseVersion(text string) version {
	v := version{text: text}
	parts := strings.SplitN(strings.TrimPrefix(text, "v"), ".", 3)
	if len(parts) < 2 {
		return version{text: text, major: newest}
	}
	var err1, err2 error
	v.major, err1 = strconv.Atoi(parts[0])
	v.minor, err2 = strconv.Atoi(parts[1])
	if err1 != nil || err2 != nil {
		return version{text: text, major: newest}
	}
	return v
}

// newest is the major version of those that are newer than we know.
const newest = 1 << 30

func (v version) atLeast(major, minor int) bool {
	return v.major > major || (v.major == major && v.minor >= minor)
}

// labelAPIsMatch reports whether the label APIs know match[].
func (v version) labelAPIsMatch() bool { return v.atLeast(2, 24) }

// utf8Names reports whether selectors may quote label names and label names in
// paths may be escaped.
func (v version) utf8Names() bool { return v.atLeast(3, 0) }
