// edge_unit for CODED_OPERANDS: activations as memory holds them to activations as PEs see them.
`include "parameters.svh"
module edge_coded #(`PE_PARAMETERS) (
    input [XW-1:0] x,
    output [AW-1:0] a
);
    generate
        if (KIND == `OLIVE) begin : olive
            pair_decoders #(LANES / 2, SIGNED) unit(x, a);
        end else begin : stored_as_used
            assign a = x;
        end
    endgenerate
endmodule
