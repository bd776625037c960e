package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"syscall"
)

const (
	maxLine = 500
	sniffed = 8 << 10
)

type match struct {
	Path string `json:"path"`
	Line int    `json:"line"`
	Text string `json:"text"`
}

var errEnough = errors.New("enough")

// Every file beneath a folder in order, by its path in the root, never in `.git`; links are named, not
// followed. A folder that went away or may not be read is passed over.
func (t tree) walk(from string, stop <-chan struct{}, visit func(name string, link bool) error) error {
	select {
	case <-stop:
		return refuse("target.cancelled", "nobody waits for this search")
	default:
	}
	fd, err := t.open(from, syscall.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return named(err, from)
	}
	dir := os.NewFile(uintptr(fd), from)
	entries, err := dir.ReadDir(-1)
	_ = dir.Close()
	if err != nil {
		return named(err, from)
	}
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	for _, entry := range entries {
		name := path.Join(from, entry.Name())
		link := entry.Type()&os.ModeSymlink != 0
		switch {
		case entry.Name() == ".git":
		case entry.IsDir():
			if err := t.walk(name, stop, visit); err != nil && !passable(err) {
				return err
			}
		case link || entry.Type().IsRegular():
			if err := visit(name, link); err != nil {
				return err
			}
		}
	}
	return nil
}

func passable(err error) bool {
	no, ours := err.(*refusal)
	return ours && no.code != "target.cancelled"
}

// Only the first names are kept while they come: a box may hold more files than its agent has memory.
func (t tree) glob(pattern string, limit int, stop <-chan struct{}) ([]byte, error) {
	wanted, err := compileGlob(pattern)
	if err != nil {
		return nil, err
	}
	found := []string{}
	first := func() {
		slices.Sort(found)
		found = found[:min(len(found), limit)]
	}
	err = t.walk(".", stop, func(name string, _ bool) error {
		if wanted.MatchString(name) {
			found = append(found, name)
		}
		if len(found) > 2*limit+1024 {
			first()
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	first()
	return json.Marshal(found)
}

func (t tree) grep(pattern, from, glob string, limit int, stop <-chan struct{}) ([]byte, error) {
	wanted, err := regexp.Compile(pattern)
	if err != nil {
		return nil, refuse("target.pattern_refused", err.Error())
	}
	if glob == "" {
		glob = "*"
	}
	if !strings.Contains(glob, "/") {
		glob = "**/" + glob
	}
	fits, err := compileGlob(glob)
	if err != nil {
		return nil, err
	}
	found := []match{}
	look := func(name string, link bool) error {
		if link || !fits.MatchString(name) {
			return nil
		}
		if file, err := t.regular(name, syscall.O_NOFOLLOW); err == nil {
			found = matches(file, name, wanted, found, limit)
			_ = file.Close()
		}
		if len(found) >= limit {
			return errEnough
		}
		return nil
	}
	if file, err := t.regular(from, syscall.O_NOFOLLOW); err == nil {
		found = matches(file, path.Clean(from), wanted, found, limit)
		_ = file.Close()
	} else if err := t.walk(from, stop, look); err != nil && err != errEnough {
		return nil, err
	}
	return json.Marshal(found)
}

func matches(file io.Reader, name string, wanted *regexp.Regexp, found []match, limit int) []match {
	lines := bufio.NewReaderSize(file, 64<<10)
	if head, _ := lines.Peek(sniffed); bytes.IndexByte(head, 0) >= 0 {
		return found
	}
	for number := 1; len(found) < limit; number++ {
		line, err := lines.ReadSlice('\n')
		if wanted.Match(bytes.TrimRight(line, "\r\n")) && (len(line) > 0 || err == nil) {
			found = append(found, match{name, number, readable(line)})
		}
		for err == bufio.ErrBufferFull { // the rest of a line that is too long to look at whole
			_, err = lines.ReadSlice('\n')
		}
		if err != nil {
			break
		}
	}
	return found
}

func readable(line []byte) string {
	line = bytes.TrimRight(line, "\r\n")
	return strings.ToValidUTF8(string(line[:min(len(line), maxLine)]), "\uFFFD")
}

// `**` crosses folders, `*` and `?` do not, `[a-z]` and `{a,b}` as in a shell.
func compileGlob(pattern string) (*regexp.Regexp, error) {
	var out strings.Builder
	out.WriteString(`^(?s:`)
	braces := 0
	for i := 0; i < len(pattern); i++ {
		rest := pattern[i:]
		switch c := pattern[i]; {
		case strings.HasPrefix(rest, "**/"):
			out.WriteString(`(?:.*/)?`)
			i += 2
		case strings.HasPrefix(rest, "**"):
			out.WriteString(`.*`)
			i++
		case c == '*':
			out.WriteString(`[^/]*`)
		case c == '?':
			out.WriteString(`[^/]`)
		case c == '[' && strings.IndexByte(rest[1:], ']') > 0:
			end := 1 + strings.IndexByte(rest[1:], ']')
			class := rest[1:end]
			if class[0] == '!' || class[0] == '^' {
				class = "^/" + class[1:]
			}
			out.WriteString("[" + strings.ReplaceAll(class, `\`, `\\`) + "]")
			i += end
		case c == '{':
			out.WriteString(`(?:`)
			braces++
		case c == '}' && braces > 0:
			out.WriteString(`)`)
			braces--
		case c == ',' && braces > 0:
			out.WriteString(`|`)
		case c == '\\' && len(rest) > 1:
			out.WriteString(regexp.QuoteMeta(rest[1:2]))
			i++
		default:
			out.WriteString(regexp.QuoteMeta(rest[:1]))
		}
	}
	out.WriteString(`)$`)
	compiled, err := regexp.Compile(out.String())
	if err != nil {
		return nil, refuse("target.pattern_refused", "not a glob pattern: "+pattern)
	}
	return compiled, nil
}
