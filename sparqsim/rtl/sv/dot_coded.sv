// dot for CODED_OPERANDS: what one cycle of a PE adds to its partial sum. Every step takes one.
`include "parameters.svh"
module dot_coded #(`PE_PARAMETERS) (
    input [AW-1:0] a,
    input [WW-1:0] w,
    input second,
    output two,
    output signed [`VALUE-1:0] value
);
    assign two = 1'b0;
    generate
        if (KIND == `OLIVE) begin : olive
            dot_olive #(LANES / 2, SIGNED) unit(a, w, value);
        end else begin : stc_sparq
            dot_stc_sparq #(BITS, STRIDE, PLACES, CODE, LONE_PLACES, ROUND) unit(a, w, value);
        end
    endgenerate
endmodule
