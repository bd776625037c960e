package main

import (
	"io"
	"net"
	"os"
	"time"
)

const (
	egress       = "/rhone-egress" // there only in a box that may reach something
	door         = egress + "/door"
	proxyAddress = "127.0.0.1:3128"
	relaysAtOnce = 256
	doorOpensIn  = 5 * time.Second
)

// Carries what commands say to a proxy on the loopback to the one door out, a socket of the proxy of this
// box. It decides nothing: whoever goes to the door directly meets the same proxy.
func relay() error {
	if _, err := os.Stat(egress); err != nil {
		return nil
	}
	listener, err := net.Listen("tcp4", proxyAddress)
	if err != nil {
		return err
	}
	room := make(chan struct{}, relaysAtOnce)
	go func() {
		for {
			room <- struct{}{}
			conn, err := listener.Accept()
			if err != nil {
				<-room
				continue
			}
			go func() {
				defer func() { <-room }()
				carry(conn.(*net.TCPConn))
			}()
		}
	}()
	return nil
}

func carry(from *net.TCPConn) {
	defer from.Close()
	conn, err := net.DialTimeout("unix", door, doorOpensIn)
	if err != nil {
		_, _ = io.WriteString(from, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 32\r\nConnection: close\r\n\r\nthe egress proxy does not answer")
		return
	}
	to := conn.(*net.UnixConn)
	defer to.Close()
	done := make(chan struct{})
	go func() {
		_, _ = io.Copy(to, from)
		_ = to.CloseWrite()
		close(done)
	}()
	_, _ = io.Copy(from, to)
	_ = from.CloseWrite()
	// An answer that is over leaves nobody to speak to: the other direction ends with it.
	_ = from.CloseRead()
	<-done
}
