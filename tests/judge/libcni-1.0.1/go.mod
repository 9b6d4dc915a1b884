module cniupgrade.test/judge-1.0.1

go 1.25.0

require (
	github.com/containerd/go-cni v1.1.3
	github.com/containernetworking/cni v1.0.1
)
