module cniupgrade.test/judge-0.8.1

go 1.25.0

require (
	github.com/containerd/go-cni v1.0.2
	github.com/containernetworking/cni v0.8.1
)

require github.com/pkg/errors v0.9.1 // indirect
