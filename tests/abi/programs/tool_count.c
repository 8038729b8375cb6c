/* A profiling tool: takes some MPI_ names, counts, and goes on through the PMPI_ names. */
#include <mpi.h>
#include <string.h>

static int sends, recvs, allreduces;

int tool_count(const char *name)
{
    return !strcmp(name, "MPI_Send") ? sends : !strcmp(name, "MPI_Recv") ? recvs : allreduces;
}

int MPI_Send(const void *buf, int count, MPI_Datatype datatype, int dest, int tag, MPI_Comm comm)
{
    sends++;
    return PMPI_Send(buf, count, datatype, dest, tag, comm);
}

int MPI_Recv(void *buf, int count, MPI_Datatype datatype, int source, int tag, MPI_Comm comm, MPI_Status *status)
{
    recvs++;
    return PMPI_Recv(buf, count, datatype, source, tag, comm, status);
}

int MPI_Allreduce(const void *sendbuf, void *recvbuf, int count, MPI_Datatype datatype, MPI_Op op, MPI_Comm comm)
{
    allreduces++;
    return PMPI_Allreduce(sendbuf, recvbuf, count, datatype, op, comm);
}
