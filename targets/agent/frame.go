package main

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
)

// A frame: four bytes of length, four of header length, a JSON header, a raw body.
const (
	maxFrame = 17 << 20
	chunk    = 128 << 10
)

type request struct {
	ID        uint64            `json:"id"`
	Op        string            `json:"op"`
	Execution string            `json:"execution"`
	Argv      []string          `json:"argv"`
	Cwd       string            `json:"cwd"`
	Env       map[string]string `json:"env"`
	TimeoutMS int64             `json:"timeout_ms"`
	OutputCap int64             `json:"output_cap"`
	Stdout    int64             `json:"stdout"`
	Stderr    int64             `json:"stderr"`
	Path      string            `json:"path"`
	Pattern   string            `json:"pattern"`
	Glob      string            `json:"glob"`
	Limit     int64             `json:"limit"`
	Last      bool              `json:"last"`
	body      []byte
}

type reply struct {
	ID      uint64      `json:"id"`
	Kind    string      `json:"kind"` // data, taken, done, refused
	Stream  string      `json:"stream,omitempty"`
	Offset  int64       `json:"offset,omitempty"`
	Exit    *exitReport `json:"exit,omitempty"`
	Version int         `json:"version,omitempty"`
	Code    string      `json:"code,omitempty"`
	Message string      `json:"message,omitempty"`
}

// A refusal is an answer: a dotted code and a sentence.
type refusal struct{ code, message string }

func (r *refusal) Error() string { return r.message }

func refuse(code, message string) error { return &refusal{code, message} }

func readRequest(from *bufio.Reader) (*request, error) {
	var sizes [8]byte
	if _, err := io.ReadFull(from, sizes[:]); err != nil {
		return nil, err
	}
	total, head := int(binary.BigEndian.Uint32(sizes[:4])), int(binary.BigEndian.Uint32(sizes[4:]))
	if total > maxFrame || head > total-4 {
		return nil, errors.New("malformed frame")
	}
	data := make([]byte, total-4)
	if _, err := io.ReadFull(from, data); err != nil {
		return nil, err
	}
	asked := &request{}
	if err := json.Unmarshal(data[:head], asked); err != nil {
		return nil, err
	}
	asked.body = data[head:]
	return asked, nil
}

type wire struct {
	mu   sync.Mutex
	conn net.Conn
}

func (w *wire) send(said reply, body []byte) error {
	head, err := json.Marshal(said)
	if err != nil {
		return err
	}
	frame := make([]byte, 8, 8+len(head)+len(body))
	binary.BigEndian.PutUint32(frame, uint32(4+len(head)+len(body)))
	binary.BigEndian.PutUint32(frame[4:], uint32(len(head)))
	frame = append(append(frame, head...), body...)
	w.mu.Lock()
	defer w.mu.Unlock()
	_, err = w.conn.Write(frame)
	return err
}

// The whole of a body in data frames, then done.
func (w *wire) answer(id uint64, body []byte) error {
	for offset := 0; offset < len(body); offset += chunk {
		part := body[offset:min(offset+chunk, len(body))]
		if err := w.send(reply{ID: id, Kind: "data", Offset: int64(offset)}, part); err != nil {
			return err
		}
	}
	return w.send(reply{ID: id, Kind: "done"}, nil)
}
